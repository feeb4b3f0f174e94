//! alloc-switch: `system` and `fallback` cannot be combined: remove one of them

alloc_switch::global_allocator!(system, fallback: std::alloc::System = std::alloc::System);

fn main() {}
