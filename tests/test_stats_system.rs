//! What the system allocator knows, in a program that has it although jemalloc could be had.

mod handle;

use handle::{small_blocks, MIB};

alloc_switch::global_allocator!(static ALLOCATOR = system);

/// One test, because the numbers are the process's.
#[test]
#[cfg(all(target_os = "linux", target_env = "gnu", not(alloc_switch_unprefixed)))]
fn stats_follow_what_is_held() {
    let allocated = || ALLOCATOR.stats().expect("glibc 2.33 or later").allocated.unwrap();
    let before = allocated();
    let large = std::hint::black_box(vec![1_u8; 64 * MIB]);
    assert!(allocated().abs_diff(before + 64 * MIB) < MIB);
    let small = small_blocks(32 * MIB);
    let held = allocated() - before - 64 * MIB;
    assert!((32 * MIB..42 * MIB).contains(&held), "32 MiB in blocks, a vector of pointers: {held}");
    let stats = ALLOCATOR.stats().unwrap();
    assert!(stats.mapped.unwrap() >= stats.allocated.unwrap());
    assert_eq!((stats.active, stats.resident, stats.retained), (None, None, None));
    drop((large, small));
    assert!(allocated().abs_diff(before) < MIB);
    assert_eq!(ALLOCATOR.thread_stats(), None);
}

#[test]
#[cfg(not(any(all(target_os = "linux", target_env = "gnu"), target_vendor = "apple")))]
fn there_is_nobody_to_ask() {
    assert_eq!(ALLOCATOR.stats(), None);
}
