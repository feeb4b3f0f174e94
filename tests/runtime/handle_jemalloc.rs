//! The handle of a program on jemalloc, with profiles armed, in which no memory goes back on its
//! own.

use alloc_switch::conf;
#[allow(unused_imports)] // where jemalloc is not to be had
use alloc_switch::Handle;

#[path = "../support/handle_use/mod.rs"]
mod handle_use;
#[path = "../support/process.rs"]
mod process;

alloc_switch::global_allocator!(
    static ALLOCATOR = jemalloc,
    conf = [conf::PROFILING_ARMED, "dirty_decay_ms:-1,muzzy_decay_ms:-1"]
);

#[test]
#[cfg(all(alloc_switch_jemalloc, feature = "stats"))]
fn stats_follow_what_is_held() {
    use process::{small_blocks, MIB};

    let _alone = process::alone();
    let allocated = || ALLOCATOR.stats().unwrap().allocated.unwrap();
    let near = |a: usize, b: usize| a.abs_diff(b) < 2 * MIB;
    let before = allocated();
    let large = std::hint::black_box(vec![1_u8; 64 * MIB]);
    assert!(near(allocated(), before + 64 * MIB));
    let small = small_blocks(32 * MIB);
    let held = allocated() - before - 64 * MIB;
    assert!((32 * MIB..42 * MIB).contains(&held), "32 MiB in blocks, a vector of pointers: {held}");
    drop(large);
    assert!(near(allocated(), before + held));
    drop(small);
    assert!(near(allocated(), before));

    let large = std::hint::black_box(vec![1_u8; 64 * MIB]);
    let stats = ALLOCATOR.stats().unwrap();
    assert!(stats.mapped.unwrap() >= stats.allocated.unwrap());
    assert!(stats.active.unwrap() >= stats.allocated.unwrap());
    assert!(stats.resident.unwrap() >= stats.active.unwrap());
    #[cfg(target_os = "linux")]
    assert!(
        process::resident() < stats.resident.unwrap() + 32 * MIB,
        "the kernel counts the program too"
    );
    drop(large);
    ALLOCATOR.purge().unwrap();
    let after = ALLOCATOR.stats().unwrap();
    assert!(after.resident.unwrap() + 60 * MIB < stats.resident.unwrap());
    assert!(after.retained.unwrap() + after.mapped.unwrap() >= stats.mapped.unwrap());
}

#[test]
#[cfg(all(alloc_switch_jemalloc, not(feature = "stats")))]
fn there_are_no_stats_without_the_feature() {
    assert_eq!(ALLOCATOR.stats(), None);
}

#[test]
#[cfg(alloc_switch_jemalloc)]
fn a_thread_counts_what_it_does_itself() {
    let count = |work: &dyn Fn()| {
        let before = ALLOCATOR.thread_stats().unwrap();
        work();
        let after = ALLOCATOR.thread_stats().unwrap();
        (after.allocated - before.allocated, after.deallocated - before.deallocated)
    };
    let block = || std::hint::black_box(Box::new([1_u8; 1000])); // a size class of 1,024 bytes
    assert_eq!(count(&|| ()), (0, 0));
    assert_eq!(count(&|| drop(block())), (1024, 1024));
    assert_eq!(count(&|| std::mem::forget(block())), (1024, 0));
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        assert_eq!(count(&|| ()), (0, 0), "a thread has counters of its own");
        let before = ALLOCATOR.thread_stats().unwrap().allocated;
        let boxed = block();
        assert_eq!(ALLOCATOR.thread_stats().unwrap().allocated - before, 1024);
        sender.send(boxed).unwrap();
    })
    .join()
    .unwrap();
    let foreign = std::cell::Cell::new(Some(receiver.recv().unwrap()));
    assert_eq!(count(&|| drop(foreign.take())), (0, 1024), "what this thread frees for another");
}

#[test]
#[cfg(target_os = "linux")]
fn a_purge_gives_memory_back_or_says_that_it_cannot() {
    let can = cfg!(any(alloc_switch_jemalloc, target_env = "gnu"));
    process::purge_gives_memory_back(&ALLOCATOR, can);
}

#[test]
#[cfg(all(alloc_switch_jemalloc, target_os = "linux"))]
fn a_purge_of_locked_memory_is_an_error() {
    handle_use::a_purge_of_locked_memory_is_an_error();
}
