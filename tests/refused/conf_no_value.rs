//! alloc-switch: in `conf`, "narenas:" takes an integer, such as 1000

alloc_switch::global_allocator!(conf = ["dirty_decay_ms:1000", "narenas:"]);

fn main() {}
