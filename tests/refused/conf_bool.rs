//! alloc-switch: in `conf`, "tcache:yes" takes `true` or `false`
//! (with jemalloc)

alloc_switch::global_allocator!(conf = "tcache:yes");

fn main() {}
