//! alloc-switch: `custom` and `conf` cannot be combined: `conf` sets jemalloc's options

alloc_switch::global_allocator!(
    custom: std::alloc::System = std::alloc::System,
    conf = "narenas:4"
);

fn main() {}
