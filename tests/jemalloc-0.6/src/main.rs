//! The core of what alloc-switch promises, on the jemalloc of tikv-jemalloc-sys 0.6, and beside
//! tikv-jemalloc-ctl, which is asked the same.

use std::alloc::{GlobalAlloc, Layout};

use alloc_switch::{conf, InPlaceAlloc, ReportForm};

alloc_switch::global_allocator!(
    static ALLOCATOR,
    conf = [conf::ONE_ARENA, conf::PROFILING_ARMED, "narenas:3"]
);

fn main() {
    println!("{ALLOCATOR}");
    println!("{:?}", ALLOCATOR.self_check());

    let options = ALLOCATOR.options().unwrap();
    println!("narenas {}", options.get("narenas").unwrap());
    assert_eq!(tikv_jemalloc_ctl::opt::narenas::read().unwrap(), 3);

    let held = vec![1_u8; 32 << 20];
    let stats = ALLOCATOR.stats().unwrap();
    let theirs = tikv_jemalloc_ctl::stats::allocated::read().unwrap();
    assert!(stats.allocated.unwrap().abs_diff(theirs) < 1 << 20, "{stats:?} {theirs}");
    assert!(stats.allocated.unwrap() >= held.len());
    let before = ALLOCATOR.thread_stats().unwrap().allocated;
    drop(std::hint::black_box(vec![1_u8; 1 << 20]));
    let after = ALLOCATOR.thread_stats().unwrap().allocated;
    assert!(after - before >= 1 << 20);

    grow_in_place();

    ALLOCATOR.purge().unwrap();
    for form in [ReportForm::Text, ReportForm::Json] {
        let mut report = String::new();
        ALLOCATOR.report(&mut report, form).unwrap();
        assert!(report.contains("5.3.0"), "{report}");
    }

    assert!(!ALLOCATOR.is_profiling());
    ALLOCATOR.start_profile().unwrap();
    let sampled = vec![1_u8; 64 << 20];
    let mut profile = Vec::new();
    ALLOCATOR.dump_profile_to(&mut profile).unwrap();
    assert!(profile.starts_with(b"heap_v2/"));
    ALLOCATOR.stop_profile().unwrap();
    drop((held, sampled));

    ALLOCATOR.background_threads(false).unwrap();
    println!("done");
}

fn grow_in_place() {
    let layout = Layout::array::<u8>(25).unwrap();
    // SAFETY: the layout has a size, and after the resize only the new pointer is used.
    unsafe {
        let block = ALLOCATOR.alloc(layout);
        assert_eq!(ALLOCATOR.usable_size(block, layout), 32);
        let block = ALLOCATOR.reallocate_inplace(block, layout, 32).unwrap().as_ptr();
        block.write_bytes(1, 32);
        ALLOCATOR.dealloc(block, Layout::array::<u8>(32).unwrap());
    }
}
