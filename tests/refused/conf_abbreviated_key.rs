//! alloc-switch: in `conf`, "p:percpu" is no option of jemalloc's: see https://jemalloc.net/jemalloc.3.html
//! (with jemalloc)

alloc_switch::global_allocator!(conf = "p:percpu");

fn main() {}
