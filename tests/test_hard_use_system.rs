//! Hard use of the system allocator.

#![cfg(target_os = "linux")]

mod handle;
mod hard_use;

alloc_switch::global_allocator!(static ALLOCATOR = system);
