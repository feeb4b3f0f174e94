//! ?
//! (proc-macro, with override-malloc)

alloc_switch::global_allocator!();
