//! ?

type Inner = alloc_switch::switch!(fallback: std::alloc::System = std::alloc::System);

fn main() {}
