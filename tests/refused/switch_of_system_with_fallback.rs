//! alloc-switch: `fallback: std::alloc::System` cannot be combined with `system` or `custom`: `conf` and `fallback` are for jemalloc

type Inner = alloc_switch::switch!(system, fallback: std::alloc::System);

fn main() {}
