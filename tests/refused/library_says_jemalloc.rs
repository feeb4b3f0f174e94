//! ?
//! (cdylib, with jemalloc)

alloc_switch::global_allocator!(jemalloc);
