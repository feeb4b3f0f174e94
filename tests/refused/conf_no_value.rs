//! ?

alloc_switch::global_allocator!(conf = ["dirty_decay_ms:1000", "narenas:"]);

fn main() {}
