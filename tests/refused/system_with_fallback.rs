//! ?

alloc_switch::global_allocator!(system, fallback: std::alloc::System = std::alloc::System);

fn main() {}
