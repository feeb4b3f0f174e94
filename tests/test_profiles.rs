//! A heap profile holds what is held, and where it was allocated.

#[path = "support/process.rs"]
mod process;

use std::path::{Path, PathBuf};

use alloc_switch::{conf, Error};
#[allow(unused_imports)] // without the feature
use process::MIB;

// A sample every 4 KiB, and nothing before it is asked for.
alloc_switch::global_allocator!(
    static ALLOCATOR,
    conf = [conf::PROFILING, if cfg!(feature = "profiling") { "prof_active:false,lg_prof_sample:12" } else { "narenas:2" }]
);

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()))
}

#[test]
#[cfg(not(all(alloc_switch_jemalloc, feature = "profiling")))]
fn it_takes_a_feature() {
    let error = if cfg!(alloc_switch_jemalloc) {
        Error::MissingFeature("profiling")
    } else {
        Error::Unsupported
    };
    for answer in
        [ALLOCATOR.start_profile(), ALLOCATOR.stop_profile(), ALLOCATOR.dump_profile(file("no"))]
    {
        assert_eq!(answer, Err(error));
    }
    assert!(!file("no").exists());
}

/// The bytes that a dump says are held, estimated from samples.
#[cfg(all(alloc_switch_jemalloc, feature = "profiling"))]
fn held() -> usize {
    let path = file("held");
    ALLOCATOR.dump_profile(&path).unwrap();
    let dump = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(dump.starts_with("heap_v2/4096\n"), "{dump}");
    assert!(dump.contains("\nMAPPED_LIBRARIES:\n"), "{dump}");
    // "  t*: objects: bytes [0: 0]"
    let total = dump.lines().nth(1).unwrap();
    total.split([':', '[']).nth(2).unwrap().trim().parse().unwrap()
}

/// One test, because sampling is the process's.
#[test]
#[cfg(all(alloc_switch_jemalloc, feature = "profiling"))]
fn it_holds_what_is_held_while_it_runs() {
    let block = || std::hint::black_box(vec![1_u8; 16 * MIB]);
    let ignored = block();
    assert_eq!(held(), 0, "it has not been started");
    ALLOCATOR.start_profile().unwrap();
    let first = block();
    let one = held();
    assert!(one.abs_diff(16 * MIB) < MIB, "{one}");
    ALLOCATOR.stop_profile().unwrap();
    let after = block();
    assert!(held().abs_diff(one) < MIB, "it has been stopped");
    ALLOCATOR.start_profile().unwrap();
    let second = block();
    let two = held();
    assert!(two.abs_diff(32 * MIB) < MIB, "{two}");
    drop((ignored, first, after));
    assert!(held().abs_diff(16 * MIB) < MIB, "what was sampled is gone");
    drop(second);
    ALLOCATOR.stop_profile().unwrap();
    assert!(held() < MIB);

    let dump = |path: &str| ALLOCATOR.dump_profile(Path::new(path));
    assert_eq!(dump("a\0b"), Err(Error::Path));
    assert!(matches!(dump(&"x".repeat(4096)), Err(Error::Io(_))), "longer than the system allows");
    assert_eq!(dump("/nowhere/at/all"), Err(Error::Io(std::io::ErrorKind::NotFound)));
}
