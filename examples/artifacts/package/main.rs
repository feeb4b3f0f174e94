//! The binary, and its unit tests.

alloc_switch::global_allocator!(static ALLOCATOR);

include!("../report.rs");

fn main() {
    println!("{}", report());
}

#[test]
fn unit_test() {
    println!("{}", report());
}
