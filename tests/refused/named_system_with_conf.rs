//! alloc-switch: `conf = "narenas:4"` cannot be combined with `system` or `custom`: `conf` and `fallback` are for jemalloc

alloc_switch::global_allocator!(static ALLOCATOR = system, conf = "narenas:4");

fn main() {}
