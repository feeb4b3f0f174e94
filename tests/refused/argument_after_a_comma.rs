//! ?

alloc_switch::global_allocator!(static ALLOCATOR, jemalloc);

fn main() {}
