//! An integration test.

alloc_switch::global_allocator!(static ALLOCATOR);

include!("../report.rs");

#[test]
fn integration_test() {
    println!("{}", report());
}
