//! E0308 mismatched types

alloc_switch::global_allocator!(conf = 4);

fn main() {}
