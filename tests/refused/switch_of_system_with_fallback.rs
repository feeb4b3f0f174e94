//! ?

type Inner = alloc_switch::switch!(system, fallback: std::alloc::System);

fn main() {}
