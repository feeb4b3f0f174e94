//! ?

alloc_switch::global_allocator!(conf = "dirty_decay_ms:1000,narenas=4");

fn main() {}
