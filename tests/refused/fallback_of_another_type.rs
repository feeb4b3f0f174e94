//! E0308 mismatched types

alloc_switch::global_allocator!(static ALLOCATOR, fallback: std::alloc::System = 1);

fn main() {}
