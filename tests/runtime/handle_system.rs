//! The handle of a program that has the system allocator although jemalloc could be had.

use alloc_switch::{Error, Handle};

#[path = "../support/handle_use/mod.rs"]
mod handle_use;
#[path = "../support/process.rs"]
mod process;
/// The check on its own, to be asked with counters that no block moves.
#[path = "../../src/handle/self_check.rs"]
#[allow(dead_code)]
mod self_check;
/// Where it finds its type.
mod chosen {
    pub use alloc_switch::Choice;
}

alloc_switch::global_allocator!(static ALLOCATOR = system);

/// Nothing but the self-check is supported where `malloc` is jemalloc's and the system allocator
/// was chosen, and on a C library that does not count.
#[test]
#[cfg(not(any(
    all(target_os = "linux", target_env = "gnu", not(alloc_switch_malloc)),
    target_vendor = "apple"
)))]
fn what_the_c_library_cannot_do_is_unsupported() {
    use alloc_switch::ReportFormat;

    assert_eq!(ALLOCATOR.stats(), None);
    assert_eq!(ALLOCATOR.purge(), Err(Error::Unsupported));
    for format in [ReportFormat::Text, ReportFormat::Json] {
        assert_eq!(ALLOCATOR.report(&mut String::new(), format), Err(Error::Unsupported));
    }
    let is_jemallocs = cfg!(alloc_switch_malloc);
    let found = Err(alloc_switch::SelfCheckError::Artifact(ALLOCATOR.choice()));
    assert_eq!(ALLOCATOR.self_check(), if is_jemallocs { found } else { Ok(()) });
}

#[test]
fn what_jemalloc_alone_has_is_unsupported() {
    assert_eq!(ALLOCATOR.thread_stats(), None);
    assert!(!ALLOCATOR.is_profiling());
    for answer in [
        ALLOCATOR.background_threads(true),
        ALLOCATOR.background_threads(false),
        ALLOCATOR.start_profile(),
        ALLOCATOR.stop_profile(),
        ALLOCATOR.reset_profile(None),
        ALLOCATOR.dump_profile("/nowhere/at/all".as_ref()),
        ALLOCATOR.dump_profile_to(&mut Vec::new()),
    ] {
        assert_eq!(answer, Err(Error::Unsupported));
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu", not(alloc_switch_malloc)))]
mod glibc {
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use alloc_switch::{Error, Handle, ReportFormat};

    use crate::handle_use::{again, is_child};
    use crate::process::{self, peak_resident, small_blocks, MIB};
    use crate::ALLOCATOR;

    #[test]
    fn stats_follow_what_is_held() {
        let _alone = process::alone();
        let allocated = || ALLOCATOR.stats().expect("glibc 2.33 or later").allocated.unwrap();
        let before = allocated();
        let large = std::hint::black_box(vec![1_u8; 64 * MIB]);
        let now = allocated();
        assert!(now.abs_diff(before + 64 * MIB) < 4 * MIB, "{before} {now}");
        let small = small_blocks(32 * MIB);
        let held = allocated() - before - 64 * MIB;
        assert!((32 * MIB..42 * MIB).contains(&held), "32 MiB, a vector of pointers: {held}");
        let stats = ALLOCATOR.stats().unwrap();
        assert!(stats.mapped.unwrap() >= stats.allocated.unwrap());
        let unknown = [stats.active, stats.metadata, stats.resident, stats.retained];
        assert_eq!(unknown, [None; 4]);
        drop((large, small));
        assert!(allocated().abs_diff(before) < 4 * MIB);
    }

    #[test]
    fn a_purge_gives_memory_back() {
        process::purge_gives_memory_back(&ALLOCATOR, true);
    }

    #[test]
    fn a_purge_of_locked_memory_is_an_error() {
        crate::handle_use::a_purge_of_locked_memory_is_an_error();
    }

    /// Runs one of the tests below in a process of its own, where it does its part.
    #[track_caller]
    fn in_child(test: &str, change: impl FnOnce(&mut Command)) {
        let out = again(&format!("glibc::{test}"), change);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{said}{}", String::from_utf8_lossy(&out.stdout));
        assert!(String::from_utf8_lossy(&out.stdout).contains("1 passed"), "no such test");
    }

    /// Under this tunable glibc writes to each block that it gives out.
    #[test]
    fn a_self_check_needs_little_memory_where_every_block_is_touched() {
        const TEST: &str = "a_self_check_needs_little_memory_where_every_block_is_touched";
        if is_child(&format!("glibc::{TEST}")) {
            let block = std::hint::black_box(Vec::<u8>::with_capacity(1000));
            // SAFETY: the byte is in the block, and glibc has written to it.
            let byte = unsafe { block.as_ptr().add(500).read_volatile() };
            assert_eq!(byte, !85, "the tunable is in effect");
            let before = peak_resident();
            assert_eq!(ALLOCATOR.self_check(), Ok(()));
            let grown = peak_resident() - before;
            return assert!(grown < 8 * MIB, "{grown}");
        }
        in_child(TEST, |command| {
            command.env("GLIBC_TUNABLES", "glibc.malloc.perturb=85");
        });
    }

    /// What other threads allocate meanwhile is in the same counters, and looks like a block of the
    /// one allocator as often as of the other.
    #[test]
    fn a_self_check_blames_nobody_for_numbers_at_random() {
        let state = std::cell::Cell::new(1_u64); // xorshift
        let counter = || {
            let mut next = state.get();
            next ^= next << 13;
            next ^= next >> 7;
            next ^= next << 17;
            state.set(next);
            Some(next as usize % (3 * MIB))
        };
        for _ in 0..10_000 {
            assert_eq!(crate::self_check::of_system(ALLOCATOR.choice(), counter), Ok(()));
        }
    }

    /// A shared library of C, to be preloaded.
    fn library(name: &str) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(name);
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).with_extension("so");
        let mut cc = Command::new("cc");
        let status = cc.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).status();
        assert!(status.expect("a C compiler, which jemalloc takes too").success(), "{cc:?}");
        library
    }

    #[test]
    fn a_replaced_malloc_is_unsupported_and_no_mistake() {
        const TEST: &str = "a_replaced_malloc_is_unsupported_and_no_mistake";
        if is_child(&format!("glibc::{TEST}")) {
            assert_eq!(ALLOCATOR.stats(), None);
            assert_eq!(ALLOCATOR.self_check(), Ok(()), "the check cannot run");
            assert_eq!(ALLOCATOR.purge(), Err(Error::Unsupported));
            for format in [ReportFormat::Text, ReportFormat::Json] {
                let answer = ALLOCATOR.report(&mut String::new(), format);
                assert_eq!(answer, Err(Error::Unsupported));
            }
            return;
        }
        let library = library("preload.c");
        in_child(TEST, |command| {
            command.env("LD_PRELOAD", library);
        });
    }

    /// A replacement for `malloc` may have a `mallinfo2` too.
    #[test]
    fn odd_numbers_of_a_foreign_mallinfo2_overflow_nothing() {
        const TEST: &str = "odd_numbers_of_a_foreign_mallinfo2_overflow_nothing";
        if is_child(&format!("glibc::{TEST}")) {
            for _ in 0..10 {
                let stats = ALLOCATOR.stats().expect("not all is zero");
                assert_eq!((stats.allocated, stats.mapped), (None, None));
                assert!(ALLOCATOR.report(&mut String::new(), ReportFormat::Json).is_ok());
                assert_eq!(ALLOCATOR.self_check(), Ok(()), "the check cannot run");
            }
            return;
        }
        let library = library("odd_mallinfo2.c");
        in_child(TEST, |command| {
            command.env("LD_PRELOAD", library);
        });
    }
}
