//! ?
//! (cdylib, with override-malloc)

alloc_switch::global_allocator!();
