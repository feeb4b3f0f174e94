//! E0277 `Cell<u8>` cannot be shared between threads safely

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct NotSync(Cell<u8>);

unsafe impl GlobalAlloc for NotSync {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe { System.dealloc(block, layout) }
    }
}

alloc_switch::global_allocator!(static ALLOCATOR, fallback: NotSync = NotSync(Cell::new(0)));

fn main() {}
