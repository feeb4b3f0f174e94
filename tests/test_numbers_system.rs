//! What the system allocator knows, and gives back when asked, in a program that has it although
//! jemalloc could be had.

#[path = "support/process.rs"]
mod process;

#[cfg(target_os = "linux")]
use process::{small_blocks, MIB};

alloc_switch::global_allocator!(static ALLOCATOR = system);

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn stats_follow_what_is_held() {
    let _alone = process::alone();
    // `override-malloc` puts jemalloc behind `malloc`, and it is asked.
    let jemalloc = cfg!(alloc_switch_malloc);
    if jemalloc && cfg!(not(feature = "stats")) {
        assert_eq!(ALLOCATOR.stats(), None);
        return;
    }
    let allocated = || ALLOCATOR.stats().expect("glibc 2.33 or later").allocated.unwrap();
    let before = allocated();
    let large = std::hint::black_box(vec![1_u8; 64 * MIB]);
    // jemalloc counts what a thread's cache holds
    let near = if jemalloc { 2 * MIB } else { MIB };
    assert!(allocated().abs_diff(before + 64 * MIB) < near);
    let small = small_blocks(32 * MIB);
    let held = allocated() - before - 64 * MIB;
    assert!((32 * MIB..42 * MIB).contains(&held), "32 MiB in blocks, a vector of pointers: {held}");
    let stats = ALLOCATOR.stats().unwrap();
    assert!(stats.mapped.unwrap() >= stats.allocated.unwrap());
    for field in [stats.active, stats.metadata, stats.resident, stats.retained] {
        assert_eq!(field.is_some(), jemalloc);
    }
    drop((large, small));
    assert!(allocated().abs_diff(before) < near);
    assert_eq!(ALLOCATOR.thread_stats().is_some(), jemalloc);
}

#[test]
#[cfg(not(any(all(target_os = "linux", target_env = "gnu"), target_vendor = "apple")))]
fn there_is_nobody_to_ask() {
    assert_eq!(ALLOCATOR.stats(), None);
}

#[test]
#[cfg(target_os = "linux")]
fn purge_gives_memory_back_or_says_that_it_cannot() {
    let can = cfg!(any(target_env = "gnu", alloc_switch_malloc));
    process::purge_gives_memory_back(&ALLOCATOR, can);
}
