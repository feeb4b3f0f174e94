//! alloc-switch: `fallbck: std::alloc::System = std::alloc::System` is not understood here: write `global_allocator!(static NAME = jemalloc, conf = "key:value", fallback: TYPE = EXPR)` in this order, where each part may be left out, and `system`, `executable` or `custom: TYPE = EXPR` may stand for `jemalloc`

alloc_switch::global_allocator!(fallbck: std::alloc::System = std::alloc::System);

fn main() {}
