//! The system allocator.

#[path = "../support/global_alloc.rs"]
mod global_alloc;

alloc_switch::global_allocator!(static ALLOCATOR = system);

#[test]
fn the_choice_is_the_macros() {
    assert_eq!(ALLOCATOR.to_string(), "system (global_allocator!(system))");
}
