//! alloc-switch: in `conf`, "" is not `key:value`: write pairs such as "dirty_decay_ms:1000,narenas:4"

alloc_switch::global_allocator!(jemalloc, conf = "");

fn main() {}
