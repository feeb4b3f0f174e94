//! ?

alloc_switch::global_allocator!(static ALLOCATOR, fallback: std::alloc::System = 1);

fn main() {}
