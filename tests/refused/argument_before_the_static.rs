//! ?

alloc_switch::global_allocator!(jemalloc, pub static ALLOCATOR);

fn main() {}
