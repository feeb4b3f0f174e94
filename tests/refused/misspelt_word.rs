//! ?

alloc_switch::global_allocator!(config = "narenas:4");

fn main() {}
