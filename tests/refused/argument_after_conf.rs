//! ?

alloc_switch::global_allocator!(conf = "narenas:4", jemalloc);

fn main() {}
