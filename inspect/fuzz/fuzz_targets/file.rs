//! Any bytes are inspected without a panic, in bounded work and in at most 64 MiB beside the file:
//!
//! ```text
//! cargo +nightly fuzz run file -- -max_total_time=3600 -timeout=1 -rss_limit_mb=1024 -max_len=1048576
//! ```

#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

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

fuzz_target!(|bytes: &[u8]| {
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    let (result, work) = alloc_inspect::inspect_counted(bytes);
    let peak = PEAK.load(Relaxed) - before;
    assert!(peak <= 64 << 20, "{peak} bytes of memory for a file of {}", bytes.len());
    assert!(work <= 32 * bytes.len() as u64 + (1 << 20));
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
