//! The handle of a program on the system allocator.

mod handle;
mod handle_use;

alloc_switch::global_allocator!(static ALLOCATOR = system);
