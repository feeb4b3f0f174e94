//! ?
//! (with jemalloc)

alloc_switch::global_allocator!(conf = "p:percpu");

fn main() {}
