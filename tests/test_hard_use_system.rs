//! Hard use of the system allocator.

#![cfg(target_os = "linux")]

#[path = "support/hard_use.rs"]
mod hard_use;
#[path = "support/process.rs"]
mod process;

alloc_switch::global_allocator!(static ALLOCATOR = system);
