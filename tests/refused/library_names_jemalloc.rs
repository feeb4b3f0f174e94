//! ?
//! (cdylib, with jemalloc)

alloc_switch::global_allocator!(pub static ALLOCATOR = jemalloc);
