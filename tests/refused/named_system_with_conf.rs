//! alloc-switch: `system` and `conf` cannot be combined: `conf` sets jemalloc's options

alloc_switch::global_allocator!(static ALLOCATOR = system, conf = "narenas:4");

fn main() {}
