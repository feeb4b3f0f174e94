//! Hard use of jemalloc.

#![cfg(target_os = "linux")]

mod handle;
mod hard_use;

alloc_switch::global_allocator!(static ALLOCATOR = jemalloc);
