//! ?
//! (with jemalloc)

alloc_switch::global_allocator!(conf = ["narenas:4", "narenas:many"]);

fn main() {}
