//! ?
//! (proc-macro)

alloc_switch::global_allocator!(jemalloc);
