//! alloc-switch: in `conf`, "narenas:many" takes an integer, such as 1000
//! (with jemalloc)

alloc_switch::global_allocator!(conf = ["narenas:4", "narenas:many"]);

fn main() {}
