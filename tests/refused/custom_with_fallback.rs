//! alloc-switch: `custom` and `fallback` cannot be combined: `custom` is used on every target

alloc_switch::global_allocator!(
    custom: std::alloc::System = std::alloc::System,
    fallback: std::alloc::System = std::alloc::System
);

fn main() {}
