//! ?

alloc_switch::global_allocator!(static ALLOCATOR = system, conf = "narenas:4");

fn main() {}
