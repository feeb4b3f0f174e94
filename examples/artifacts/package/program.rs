//! The example and the benchmark.

alloc_switch::global_allocator!(static ALLOCATOR);

include!("../report.rs");

fn main() {
    println!("{}", report());
}
