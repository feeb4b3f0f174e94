//! alloc-switch: `"jemalloc"` is not understood here: each part may be left out, and their order is `global_allocator!(static NAME = jemalloc, conf = "key:value", fallback: TYPE = EXPR)`

alloc_switch::global_allocator!("jemalloc");

fn main() {}
