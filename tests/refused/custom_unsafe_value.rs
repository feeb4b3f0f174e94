//! E0133 call to unsafe function `zeroed` is unsafe and requires unsafe function or block

#![forbid(unsafe_code)]

alloc_switch::global_allocator!(custom: std::alloc::System = std::mem::zeroed());

fn main() {}
