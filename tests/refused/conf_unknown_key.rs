//! ?
//! (with jemalloc)

alloc_switch::global_allocator!(conf = "narenas:4,dirty_decay:1000");

fn main() {}
