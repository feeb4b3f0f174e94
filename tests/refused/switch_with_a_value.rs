//! alloc-switch: `switch!` takes `fallback: TYPE`: give the value to `with_fallback`

type Inner = alloc_switch::switch!(fallback: std::alloc::System = std::alloc::System);

fn main() {}
