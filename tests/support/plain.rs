//! An allocator of a user's own, which resizes nothing because it does not say how.

use std::alloc::{GlobalAlloc, Layout, System};

use alloc_switch::InPlaceAlloc;

pub struct Plain;

// SAFETY: it is `System`.
unsafe impl GlobalAlloc for Plain {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }
}

// SAFETY: the provided functions promise nothing.
unsafe impl InPlaceAlloc for Plain {}
