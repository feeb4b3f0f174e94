//! The memory limit, from a file of the test's own, in a program that returns nothing by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use admin::limit::{limit_files, memory_limit, Watch};

alloc_switch::global_allocator!(static ALLOCATOR, conf = "dirty_decay_ms:-1,muzzy_decay_ms:-1");

const MIB: usize = 1 << 20;

/// Whether the allocator tells what it could return.
fn tells() -> bool {
    ALLOCATOR.choice().is_jemalloc() && cfg!(feature = "stats")
}

/// Allocates, writes to and frees as much.
fn burst() {
    let blocks: Vec<Vec<u8>> = (0..128).map(|_| std::hint::black_box(vec![1; MIB])).collect();
    assert_eq!(blocks.len(), 128);
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("limit-{name}"))
}

#[test]
fn a_share_of_the_limit_goes_back_and_not_too_often() {
    let (max, limit) = (file("memory.max"), file("memory.limit_in_bytes"));
    let every = Duration::from_secs(5);
    let mut watch = Watch::new(vec![file("is-not-there"), max.clone(), limit.clone()], 10, every);
    let resident = || memory_stats::memory_stats().expect("it is known here").physical_mem;
    let now = Instant::now();
    let set = |file: &Path, text: &str| fs::write(file, text).unwrap();

    set(&max, "max\n");
    set(&limit, "9223372036854771712\n");
    burst();
    assert_eq!(watch.look(&ALLOCATOR, now), Ok(false), "there is no limit");
    set(&max, &format!("{}\n", 64_u64 << 30));
    assert_eq!(watch.look(&ALLOCATOR, now), Ok(false), "it is less than a tenth of it");
    set(&max, "no number\n");
    assert_eq!(watch.look(&ALLOCATOR, now), Ok(false), "there is no limit");

    let held = resident();
    set(&max, &format!("{}\n", 512 * MIB));
    assert_eq!(watch.look(&ALLOCATOR, now), Ok(tells()));
    if tells() {
        assert!(resident() < held - 100 * MIB, "{held} {}", resident());
    }
    burst();
    assert_eq!(watch.look(&ALLOCATOR, now + every / 2), Ok(false), "not again so soon");
    assert_eq!(watch.look(&ALLOCATOR, now + every), Ok(tells()));
    assert_eq!(watch.look(&ALLOCATOR, now + every * 2), Ok(false), "nothing is left");
}

#[test]
fn the_smallest_limit_counts() {
    let files: Vec<PathBuf> = ["a", "b", "c"].map(file).into();
    for (file, text) in files.iter().zip(["max\n", "4096\n", "1073741824\n"]) {
        fs::write(file, text).unwrap();
    }
    assert_eq!(memory_limit(&files), Some(4096));
    assert_eq!(memory_limit(&files[..1]), None);
    assert_eq!(memory_limit(&[]), None);
}

#[test]
fn the_limit_of_this_process_can_be_asked_for() {
    let limit = memory_limit(&limit_files());
    assert!(limit.is_none_or(|limit| limit > MIB as u64), "{limit:?}");
}
