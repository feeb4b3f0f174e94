//! The system allocator gives memory back when asked, or says that it cannot.

#![cfg(target_os = "linux")]

mod handle;

use handle::{resident, small_blocks, MIB};

alloc_switch::global_allocator!(static ALLOCATOR = system);

#[test]
fn resident_memory_falls() {
    let before = resident();
    let mut blocks = small_blocks(128 * MIB);
    let last = blocks.pop(); // glibc gives the end of its heap back on its own, unless something holds it
    drop(blocks);
    let held = resident();
    assert!(held > before + 100 * MIB, "{before} {held}");
    if cfg!(not(any(target_env = "gnu", alloc_switch_unprefixed))) {
        assert_eq!(ALLOCATOR.purge(), Err(alloc_switch::Error::System));
        return;
    }
    ALLOCATOR.purge().unwrap();
    let after = resident();
    assert!(after < before + 16 * MIB, "{before} {held} {after}");
    drop(last);
}
