//! ?

type Inner = alloc_switch::switch!(jemaloc);

fn main() {}
