//! The core of what alloc-switch promises, on the jemalloc of tikv-jemalloc-sys 0.6, and beside
//! tikv-jemalloc-ctl, which is asked the same.

use alloc_switch::{conf, Handle, ReportFormat};

alloc_switch::global_allocator!(
    static ALLOCATOR,
    conf = [conf::GIVE_BACK, conf::PROFILING_ARMED, "narenas:3"]
);

fn main() {
    println!("{ALLOCATOR}");
    println!("{:?}", ALLOCATOR.self_check());
    println!("narenas {}", tikv_jemalloc_ctl::opt::narenas::read().unwrap());

    let held = vec![1_u8; 32 << 20];
    let stats = ALLOCATOR.stats().unwrap();
    let theirs = tikv_jemalloc_ctl::stats::allocated::read().unwrap();
    assert!(stats.allocated.unwrap().abs_diff(theirs) < 1 << 20, "{stats:?} {theirs}");
    assert!(stats.allocated.unwrap() >= held.len());
    let mut report = String::new();
    ALLOCATOR.report(&mut report, ReportFormat::Text).unwrap();
    assert!(report.contains("5.3.0"), "{report}");

    ALLOCATOR.start_profile().unwrap();
    let sampled = vec![1_u8; 64 << 20];
    let mut profile = Vec::new();
    ALLOCATOR.dump_profile_to(&mut profile).unwrap();
    assert!(profile.starts_with(b"heap_v2/"));
    drop((held, sampled));
    println!("done");
}
