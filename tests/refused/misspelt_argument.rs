//! ?

alloc_switch::global_allocator!(jemaloc);

fn main() {}
