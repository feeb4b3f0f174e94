//! ?

alloc_switch::global_allocator!(system, conf = "narenas:4");

fn main() {}
