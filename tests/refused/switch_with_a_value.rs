//! alloc-switch: `conf` is for `global_allocator!` alone, and `switch!` takes no value, but `fallback: TYPE`, of a type that your own `cfg` chooses: hand the value to `with_fallback`

type Inner = alloc_switch::switch!(fallback: std::alloc::System = std::alloc::System);

fn main() {}
