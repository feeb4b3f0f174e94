//! 64 threads allocate while every call of the handle is made again and again.
//!
//! `ALLOC_SWITCH_LOAD` is the number of times. The default, 3, takes some seconds on an idle
//! machine, and so do the 10 of an optimised program.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError, RwLock};
use std::thread;

use alloc_switch::{Error, ReportFormat, Stats};

use super::{handle, is_child, is_jemalloc, reports};
use crate::process::{in_fork, rounds};

const THREADS: usize = 64;

/// Ends the process with a signal unless it is called again: a thread that hangs in the allocator
/// cannot say so itself. It allocates nothing.
fn still_alive() {
    // SAFETY: the function takes any number.
    unsafe { libc::alarm(300) };
}

thread_local! {
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Blocks that another thread frees.
static SENT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Blocks of many sizes, kept for a while.
fn allocate(seed: usize) {
    let mut sent = KEPT.with_borrow_mut(|kept| {
        for n in 0..32 {
            let size = 1 << ((seed * 7 + n * 5) % 15);
            kept.push(std::hint::black_box(vec![n as u8; size]));
        }
        if seed % 16 == 0 {
            kept.push(std::hint::black_box(vec![1; 1 << 20]));
        }
        assert!(kept.iter().all(|block| block[0] == block[block.len() - 1]));
        kept.drain(..kept.len() / 2).collect()
    });
    std::mem::swap(&mut *SENT.lock().unwrap(), &mut sent);
}

/// None of the numbers is torn: each is one that this process could have. jemalloc adds up one
/// arena after the other while threads allocate, so that two of them may differ by what went on
/// meanwhile.
fn plausible(stats: &Stats) {
    const MEANWHILE: usize = 256 << 20;
    const MOST: usize = 1 << 36; // the address space too

    let all = [
        stats.allocated,
        stats.active,
        stats.metadata,
        stats.resident,
        stats.mapped,
        stats.retained,
    ];
    assert!(all.into_iter().flatten().all(|bytes| bytes < MOST), "{stats:?}");
    let ordered = |less: Option<usize>, more: Option<usize>| match (less, more) {
        (Some(less), Some(more)) => less <= more + MEANWHILE,
        _ => true,
    };
    assert!(ordered(stats.allocated, stats.active), "{stats:?}");
    assert!(ordered(stats.active, stats.mapped), "{stats:?}");
    assert!(ordered(stats.active, stats.resident), "{stats:?}");
    assert!(ordered(stats.metadata, stats.resident), "{stats:?}");
    assert!(ordered(stats.allocated, stats.mapped), "{stats:?}");
}

/// Whether the allocator can, with the feature if it takes one.
fn profiles() -> bool {
    handle().choice().is_jemalloc() && cfg!(feature = "profiling")
}

fn cannot(error: Error) -> bool {
    matches!(
        error,
        Error::Unsupported
            | Error::UnsupportedTarget
            | Error::MissingFeature("profiling")
            | Error::MissingOption("prof:true")
    )
}

static SAMPLES: RwLock<()> = RwLock::new(());

/// Every call once.
fn every_call(round: usize) {
    every_call_but_profiles(round);
    profile(round);
}

fn every_call_but_profiles(round: usize) {
    let handle = handle();
    // It is found out where `malloc` is jemalloc's and the system allocator was chosen.
    let is_found_out = cfg!(alloc_switch_malloc) && !is_jemalloc();
    assert_eq!(handle.self_check().is_err(), is_found_out);
    if let Some(stats) = handle.stats() {
        plausible(&stats);
    }
    let before = handle.thread_stats();
    drop(std::hint::black_box(vec![1_u8; 1000]));
    assert_eq!(before.is_some(), is_jemalloc());
    if let (Some(before), Some(after)) = (before, handle.thread_stats()) {
        assert_eq!(after.allocated - before.allocated, 1024, "a size class");
        assert_eq!(after.deallocated - before.deallocated, 1024);
    }
    let format = if round % 2 == 0 { ReportFormat::Text } else { ReportFormat::Json };
    let mut text = String::new();
    match handle.report(&mut text, format) {
        Ok(()) if round % 2 == 0 => assert!(!text.is_empty()),
        Ok(()) => assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}"),
        Err(error) => assert!(!reports() && cannot(error)),
    }
    match handle.purge() {
        Ok(()) => {}
        Err(error) => assert!(!reports() && cannot(error)),
    }
    match handle.background_threads(round % 2 == 0) {
        Ok(()) => assert!(is_jemalloc()),
        Err(error) => assert!(cannot(error), "{error:?}"),
    }
}

/// Samples, which no thread may do while another forks where libunwind walks the stack: it asks the
/// loader, whose lock for that is not made whole in a child.
fn profile(round: usize) {
    let _samples = SAMPLES.read().unwrap();
    let handle = handle();
    let mut profile = Vec::new();
    let lg_sample = Some(12 + (round % 8) as u32).filter(|_| round % 3 != 0);
    let answers = [
        handle.start_profile(),
        handle.reset_profile(lg_sample),
        handle.dump_profile_to(&mut profile),
        handle.stop_profile(),
    ];
    for answer in answers {
        match answer {
            Ok(()) => assert!(profiles()),
            Err(error) => assert!(!profiles() && cannot(error), "{error:?}"),
        }
    }
    assert_eq!(profile.starts_with(b"heap_v2/"), profiles());
    if !profiles() {
        assert!(!handle.is_profiling());
    }
}

/// The load, with `during` again and again in two threads.
fn under_load(times: usize, during: impl Fn(usize) + Sync) {
    let stop = AtomicBool::new(false);
    let count = AtomicUsize::new(0);
    thread::scope(|scope| {
        let load = |seed| {
            let (stop, count) = (&stop, &count);
            scope.spawn(move || {
                let mut n = seed;
                while !stop.load(Relaxed) {
                    allocate(n);
                    count.fetch_add(1, Relaxed);
                    n += 1;
                    // Threads end and begin too.
                    if n % 512 == 0 {
                        thread::spawn(move || allocate(n)).join().unwrap();
                    }
                }
            })
        };
        let loads: Vec<_> = (0..THREADS).map(load).collect();
        let callers: Vec<_> = (0..2)
            .map(|caller| {
                let (during, count) = (&during, &count);
                scope.spawn(move || {
                    for round in 0..times {
                        still_alive();
                        let before = count.load(Relaxed);
                        during(2 * round + caller);
                        while count.load(Relaxed) == before {
                            thread::yield_now(); // under load
                        }
                    }
                })
            })
            .collect();
        let results: Vec<_> = callers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        stop.store(true, Relaxed);
        // The scope does not wait until what they kept is dropped; a join does.
        let ends: Vec<_> = loads.into_iter().map(thread::ScopedJoinHandle::join).collect();
        SENT.lock().unwrap_or_else(PoisonError::into_inner).clear();
        for result in results.into_iter().chain(ends) {
            if let Err(panic) = result {
                std::panic::resume_unwind(panic);
            }
        }
    });
    still_alive();
}

/// Alone in its process, because every number is the process's.
#[cfg(target_os = "linux")]
fn alone(test: &str, work: impl FnOnce()) {
    if is_child(test) {
        return work();
    }
    let out = super::again(test, |_| ());
    let said = String::from_utf8_lossy(&out.stderr);
    let out_said = String::from_utf8_lossy(&out.stdout);
    assert!(
        out.status.success(),
        "{} (signal 14 is the watchdog's: a call hung)\n{out_said}{said}",
        out.status
    );
    assert!(out_said.contains("1 passed"), "no such test: {out_said}");
}

#[test]
#[cfg(target_os = "linux")]
fn nothing_hangs_or_grows_and_no_number_is_torn() {
    alone("handle_use::load::nothing_hangs_or_grows_and_no_number_is_torn", || {
        let held = || {
            let _ = handle().stop_profile();
            let _ = handle().reset_profile(None);
            let _ = handle().purge();
            (crate::process::resident(), handle().stats().and_then(|stats| stats.allocated))
        };
        let times = rounds(10);
        under_load(times, every_call);
        let (resident, allocated) = held();
        under_load(times, every_call);
        let (resident_after, allocated_after) = held();
        println!("{allocated:?} {allocated_after:?} held, {resident} {resident_after} resident");
        // glibc keeps freed blocks of every arena, in which the threads of the second load sit
        // otherwise than those of the first. What leaks with each call grows beyond any such bound.
        assert!(resident_after < resident + (48 << 20), "{resident} {resident_after}");
        if let (Some(before), Some(after)) = (allocated, allocated_after) {
            assert!(after < before + (4 << 20), "{before} {after}");
        }

        // What one call leaves behind, where no other thread allocates: bytes and descriptors.
        let held = || match handle().thread_stats() {
            Some(thread) => Some(thread.allocated as i64 - thread.deallocated as i64),
            None => handle().stats().and_then(|stats| Some(stats.allocated? as i64)),
        };
        let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        every_call(0);
        let (before, descriptors) = (held(), open());
        (0..100).for_each(every_call);
        assert_eq!(open(), descriptors);
        if let (Some(before), Some(after)) = (before, held()) {
            assert!(after < before + (64 << 10), "{before} {after}");
        }
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_fork_under_load_can_make_every_call() {
    alone("handle_use::load::a_fork_under_load_can_make_every_call", || {
        under_load(rounds(10), |round| {
            if round % 2 == 1 {
                return every_call(round); // while the other thread forks
            }
            // No thread is started there: the standard library has a lock for that, which a thread
            // of the parent may have held.
            let is_unwound_by_libunwind = cfg!(feature = "profiling-libunwind");
            let alone = is_unwound_by_libunwind.then(|| SAMPLES.write().unwrap());
            let status = in_fork(|| {
                every_call_but_profiles(round);
                if !is_unwound_by_libunwind {
                    profile(round);
                }
                42
            });
            drop(alone);
            assert_eq!(status, 42);
        });
    });
}
