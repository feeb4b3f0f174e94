//! Any bytes are inspected without a panic, at no more than 16 looks at each byte (and a MiB for
//! the smallest), within a second and in at most 64 MiB beside the file:
//!
//! ```text
//! cargo +nightly fuzz run file corpus seeds -- -max_total_time=3600 -timeout=30 -rss_limit_mb=1024
//! \
//!     -max_len=1048576
//! ```
//!
//! The second is one of the processor's time, which does not depend on what else the machine does;
//! libFuzzer's own limit is of the clock's.

#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;

/// Counts the bytes that are in use, and the most that were.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        // SAFETY: the caller's promises are those that the system allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above; the block came from the system allocator.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The processor's time that this thread has taken.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock is there on Linux and macOS, and `time` is a place for its answer.
    let answer = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(answer, 0, "a clock for this thread");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fuzz_target!(|bytes: &[u8]| {
    let start = processor_time();
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    let (result, looked) = alloc_inspect::inspect_counted(bytes);
    let peak = PEAK.load(Relaxed) - before;
    let time = processor_time() - start;
    assert!(time < Duration::from_secs(1), "{time:?} for a file of {}", bytes.len());
    assert!(peak <= 64 << 20, "{peak} bytes of memory for a file of {}", bytes.len());
    assert!(looked <= 16 * bytes.len() as u64 + (1 << 20), "{looked} for {}", bytes.len());
    match result {
        Ok(reports) => {
            assert!(!reports.is_empty());
            for report in reports {
                for line in [report.to_string()].iter().chain(&report.advice) {
                    assert_eq!(*line, alloc_inspect::printable(line));
                }
            }
        }
        Err(error) => {
            let sentence = error.to_string();
            assert!(!sentence.is_empty() && !sentence.contains('\n'), "{sentence:?}");
        }
    }
});
