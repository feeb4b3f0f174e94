//! ?

alloc_switch::global_allocator!(static ALLOCATOR: std::alloc::System = std::alloc::System);

fn main() {}
