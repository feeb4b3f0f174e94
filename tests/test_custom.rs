//! An allocator of one's own, switched to with the macro.

#[cfg(alloc_switch_jemalloc)]
#[path = "support/mallctl.rs"]
mod mallctl;

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use alloc_switch::InPlaceAlloc;

/// Refuses what is larger than its limit, and counts what it hands out.
struct Limited<A> {
    inner: A,
    limit: usize,
    allocations: AtomicUsize,
}

// SAFETY: null is a refusal; the rest is the inner allocator's.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Limited<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > self.limit {
            return std::ptr::null_mut();
        }
        self.allocations.fetch_add(1, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { self.inner.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.inner.dealloc(ptr, layout) }
    }
}

// SAFETY: the inner allocator's.
unsafe impl<A: InPlaceAlloc> InPlaceAlloc for Limited<A> {
    unsafe fn usable_size(&self, ptr: *mut u8, layout: Layout) -> usize {
        // SAFETY: the caller's promise.
        unsafe { self.inner.usable_size(ptr, layout) }
    }
}

alloc_switch::global_allocator!(
    /// The allocator of this program.
    #[allow(dead_code)]
    pub(crate) static ALLOCATOR: Limited<alloc_switch::switch!()> =
        Limited { inner: alloc_switch::switch!(), limit: 1 << 30, allocations: AtomicUsize::new(0) },
    conf = "narenas:3"
);

#[test]
fn it_is_the_one_in_use() {
    let before = ALLOCATOR.allocations.load(Relaxed);
    let block = std::hint::black_box(vec![1_u8; 100]);
    assert!(ALLOCATOR.allocations.load(Relaxed) > before);
    assert!(Vec::<u8>::new().try_reserve(2 << 30).is_err(), "larger than its limit");
    let layout = Layout::array::<u8>(100).unwrap();
    // SAFETY: the block has that layout.
    assert!(unsafe { ALLOCATOR.usable_size(block.as_ptr().cast_mut(), layout) } >= 100);
}

#[test]
fn the_rule_holds_for_the_switch_inside() {
    assert_eq!(ALLOCATOR.inner.choice(), alloc_switch::choice!());
    assert_eq!(ALLOCATOR.inner.self_check(), Ok(()));
}

#[test]
#[cfg(alloc_switch_jemalloc)]
fn its_options_reach_jemalloc() {
    assert_eq!(mallctl::read::<u32>(c"opt.narenas"), Some(3));
}
