//! alloc-switch: `fallback` is given twice: write one, of a type that your own `cfg` chooses

alloc_switch::global_allocator!(
    fallback: std::alloc::System = std::alloc::System,
    fallback: std::alloc::System = std::alloc::System
);

fn main() {}
