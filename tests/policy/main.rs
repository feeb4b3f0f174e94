//! The allocator that the policy gives to a test program, so jemalloc where it is to be had.

#[cfg(target_os = "linux")]
#[path = "../support/hard_use.rs"]
mod hard_use;
mod in_place;
#[cfg(alloc_switch_jemalloc)]
#[path = "../support/mallctl.rs"]
mod mallctl;
mod not_started;
#[path = "../support/plain.rs"]
mod plain;
#[cfg(target_os = "linux")]
#[path = "../support/process.rs"]
mod process;

alloc_switch::global_allocator!(static ALLOCATOR);
