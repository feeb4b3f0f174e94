//! alloc-switch: in `conf`, "lg_san_uaf_align:12" needs jemalloc's own checks: turn on the feature `debug`
//! (with jemalloc)

alloc_switch::global_allocator!(conf = "lg_san_uaf_align:12");

fn main() {}
