//! alloc-switch: in `conf`, " narenas:4" has a space in it: write it without, as in "narenas:4,zero:true"

alloc_switch::global_allocator!(conf = "dirty_decay_ms:1000, narenas:4");

fn main() {}
