//! ?

alloc_switch::global_allocator!("narenas:4");

fn main() {}
