//! ?

#![forbid(unsafe_code)]

/// What no caller keeps a promise for.
const unsafe fn dangerous() -> std::alloc::System {
    std::alloc::System
}

alloc_switch::global_allocator!(custom: std::alloc::System = dangerous());

fn main() {}
