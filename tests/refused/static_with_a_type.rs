//! alloc-switch: `static ALLOCATOR: std::alloc::System = std::alloc::System` is not understood here: each part may be left out, and their order is `global_allocator!(static NAME = jemalloc, conf = "key:value", fallback: TYPE = EXPR)`

alloc_switch::global_allocator!(static ALLOCATOR: std::alloc::System = std::alloc::System);

fn main() {}
