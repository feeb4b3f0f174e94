//! The handle of a program on jemalloc, with profiles armed.

#[path = "support/handle_use/mod.rs"]
mod handle_use;
#[path = "support/process.rs"]
mod process;

alloc_switch::global_allocator!(
    static ALLOCATOR = jemalloc,
    conf = alloc_switch::conf::PROFILING_ARMED
);
