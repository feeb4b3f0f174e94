//! The handle of a program on jemalloc, with profiles armed.

mod handle;
mod handle_use;

alloc_switch::global_allocator!(
    static ALLOCATOR = jemalloc,
    conf = alloc_switch::conf::PROFILING_ARMED
);
