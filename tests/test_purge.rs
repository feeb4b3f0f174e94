//! Memory that was freed goes back to the kernel when asked.

#![cfg(target_os = "linux")]

mod handle;

use handle::{resident, small_blocks, MIB};

// Nothing goes back on its own.
alloc_switch::global_allocator!(static ALLOCATOR, conf = "dirty_decay_ms:-1,muzzy_decay_ms:-1");

#[test]
fn resident_memory_falls() {
    let before = resident();
    let mut blocks = small_blocks(128 * MIB);
    let last = blocks.pop(); // glibc gives the end of its heap back on its own, unless something holds it
    drop(blocks);
    let held = resident();
    assert!(held > before + 100 * MIB, "{before} {held}");
    ALLOCATOR.purge().unwrap();
    let after = resident();
    assert!(after < before + 16 * MIB, "{before} {held} {after}");
    drop(last);
}
