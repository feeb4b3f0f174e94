//! alloc-switch: `conf` is given twice: write `conf = [a, b]`

alloc_switch::global_allocator!(conf = "narenas:4", conf = "tcache:true");

fn main() {}
