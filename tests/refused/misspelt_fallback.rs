//! ?

alloc_switch::global_allocator!(fallbck: std::alloc::System = std::alloc::System);

fn main() {}
