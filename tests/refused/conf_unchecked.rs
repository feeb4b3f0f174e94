//! ?

alloc_switch::global_allocator!(conf_unchecked = "narenas:4");

fn main() {}
