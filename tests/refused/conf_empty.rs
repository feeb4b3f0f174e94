//! ?

alloc_switch::global_allocator!(jemalloc, conf = "");

fn main() {}
