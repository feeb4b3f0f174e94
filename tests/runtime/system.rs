//! Hard use of the system allocator.

#![cfg(target_os = "linux")]

#[path = "../support/hard_use.rs"]
mod hard_use;
#[path = "../support/process.rs"]
mod process;

alloc_switch::global_allocator!(static ALLOCATOR = system);

#[test]
fn the_choice_is_the_macros() {
    assert_eq!(ALLOCATOR.to_string(), "system (global_allocator!(system))");
}
