//! A program that plain rustc compiles. `ask` is for the test, so that one file serves it twice.

#![forbid(unsafe_code)]

#[cfg(not(ask))]
alloc_switch::global_allocator!(static ALLOCATOR);

#[cfg(ask)]
alloc_switch::global_allocator!(static ALLOCATOR = jemalloc, conf = "narenas:4");

fn main() {
    println!("{ALLOCATOR}");
}

#[test]
fn test() {
    main();
}
