//! alloc-switch: in `conf`, "narenas=4" is not `key:value`: write pairs such as "dirty_decay_ms:1000,narenas:4"

alloc_switch::global_allocator!(conf = "dirty_decay_ms:1000,narenas=4");

fn main() {}
