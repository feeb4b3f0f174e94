//! ?

alloc_switch::global_allocator!(
    fallback: std::alloc::System = std::alloc::System,
    fallback: std::alloc::System = std::alloc::System
);

fn main() {}
