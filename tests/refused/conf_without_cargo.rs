//! ?
//! (without Cargo)

alloc_switch::global_allocator!(conf = "narenas:4");

fn main() {}
