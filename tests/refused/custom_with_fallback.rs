//! alloc-switch: `fallback: std::alloc::System = std::alloc::System` cannot be combined with `system` or `custom`: `conf` and `fallback` are for jemalloc

alloc_switch::global_allocator!(
    custom: std::alloc::System = std::alloc::System,
    fallback: std::alloc::System = std::alloc::System
);

fn main() {}
