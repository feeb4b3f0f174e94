//! ?

alloc_switch::global_allocator!(pub ALLOCATOR = jemalloc);

fn main() {}
