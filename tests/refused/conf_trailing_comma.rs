//! alloc-switch: in `conf`, "" is not `key:value`: write pairs such as "dirty_decay_ms:1000,narenas:4"

alloc_switch::global_allocator!(static ALLOCATOR, conf = "narenas:4,");

fn main() {}
