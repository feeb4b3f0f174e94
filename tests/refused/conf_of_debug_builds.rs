//! ?
//! (with jemalloc)

alloc_switch::global_allocator!(conf = "junk:true");

fn main() {}
