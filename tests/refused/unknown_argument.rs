//! ?

alloc_switch::global_allocator!(mimalloc);

fn main() {}
