//! alloc-switch: in `conf`, "dirty_decay:1000" is no option of jemalloc's: see https://jemalloc.net/jemalloc.3.html
//! (with jemalloc)

alloc_switch::global_allocator!(conf = "narenas:4,dirty_decay:1000");

fn main() {}
