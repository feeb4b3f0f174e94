//! alloc-switch: `system` and `fallback` cannot be combined: remove one of them

type Inner = alloc_switch::switch!(system, fallback: std::alloc::System);

fn main() {}
