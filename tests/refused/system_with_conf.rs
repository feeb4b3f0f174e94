//! alloc-switch: `system` and `conf` cannot be combined: `conf` sets jemalloc's options

alloc_switch::global_allocator!(system, conf = "narenas:4");

fn main() {}
