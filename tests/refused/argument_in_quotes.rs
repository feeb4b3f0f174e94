//! ?

alloc_switch::global_allocator!("jemalloc");

fn main() {}
