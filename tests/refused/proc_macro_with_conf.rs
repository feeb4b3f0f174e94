//! alloc-switch: `conf` has no effect in a procedural macro: remove it
//! (proc-macro)

alloc_switch::global_allocator!(conf = "narenas:4");
