//! ?

alloc_switch::global_allocator!(conf = ":4");

fn main() {}
