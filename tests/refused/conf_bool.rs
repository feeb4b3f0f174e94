//! ?
//! (with jemalloc)

alloc_switch::global_allocator!(conf = "tcache:yes");

fn main() {}
