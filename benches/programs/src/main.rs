//! Runs one workload on the allocator that this program was built with, and prints what it took.
//!
//! usage: programs [WORKLOAD SCALE]
//!
//! Without arguments it prints the names of the workloads. Work grows in proportion to SCALE. The
//! line printed is `user=… sys=… wall=…` in seconds, `peak=… mean=… end=…` in MiB of resident memory,
//! and `faults=… checksum=…`. All of them leave out what the workload does before it starts the meter.

mod meter;
mod workloads;

#[cfg(feature = "stock")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(feature = "snmalloc")]
#[global_allocator]
static ALLOCATOR: snmalloc_rs::SnMalloc = snmalloc_rs::SnMalloc;

#[cfg(all(
    feature = "switch",
    not(any(feature = "one-arena", feature = "profiling", feature = "benchmarking"))
))]
alloc_switch::global_allocator!();

#[cfg(feature = "one-arena")]
alloc_switch::global_allocator!(conf = alloc_switch::conf::ONE_ARENA);

#[cfg(feature = "profiling")]
alloc_switch::global_allocator!(conf = alloc_switch::conf::PROFILING);

#[cfg(feature = "benchmarking")]
alloc_switch::global_allocator!(conf = alloc_switch::conf::BENCHMARKING);

fn main() {
    let mut args = std::env::args().skip(1);
    let Some(name) = args.next() else {
        workloads::ALL.iter().for_each(|(name, _)| println!("{name}"));
        return;
    };
    let Some((_, work)) = workloads::ALL.iter().find(|(known, _)| *known == name) else {
        eprintln!("no workload {name}");
        std::process::exit(2);
    };
    let Some(scale) = args.next().and_then(|scale| scale.parse().ok()) else {
        eprintln!("usage: programs [WORKLOAD SCALE]");
        std::process::exit(2);
    };
    let mut meter = meter::Meter::start();
    let checksum = work(scale, &mut meter);
    let line = meter.stop();
    // The checksum is the same on every allocator, and keeps the optimiser from dropping the work.
    println!("{line} checksum={checksum}");
}
