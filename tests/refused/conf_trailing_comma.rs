//! ?

alloc_switch::global_allocator!(static ALLOCATOR, conf = "narenas:4,");

fn main() {}
