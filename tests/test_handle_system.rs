//! The handle of a program on the system allocator.

#[path = "support/handle_use/mod.rs"]
mod handle_use;
#[path = "support/process.rs"]
mod process;

alloc_switch::global_allocator!(static ALLOCATOR = system);
