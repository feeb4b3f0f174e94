//! An allocator of one's own that counts, around whichever allocator the rule chooses.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use alloc_switch::InPlaceAlloc;

/// Counts the bytes that are held, and the most that ever were.
struct Counting<A> {
    inner: A,
    held: AtomicUsize,
    peak: AtomicUsize,
}

impl<A> Counting<A> {
    const fn new(inner: A) -> Self {
        Counting { inner, held: AtomicUsize::new(0), peak: AtomicUsize::new(0) }
    }

    fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    fn peak(&self) -> usize {
        self.peak.load(Relaxed)
    }

    fn resized(&self, from: usize, to: usize) {
        let held =
            self.held.fetch_add(to.wrapping_sub(from), Relaxed).wrapping_add(to.wrapping_sub(from));
        self.peak.fetch_max(held, Relaxed);
    }
}

// SAFETY: every function is the inner allocator's, and counting does not allocate.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counting<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let ptr = unsafe { self.inner.alloc(layout) };
        if !ptr.is_null() {
            self.resized(0, layout.size());
        }
        ptr
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let ptr = unsafe { self.inner.alloc_zeroed(layout) };
        if !ptr.is_null() {
            self.resized(0, layout.size());
        }
        ptr
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        self.resized(layout.size(), 0);
        // SAFETY: the caller's promise.
        unsafe { self.inner.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        let new = unsafe { self.inner.realloc(ptr, layout, new_size) };
        if !new.is_null() {
            self.resized(layout.size(), new_size);
        }
        new
    }
}

// SAFETY: both functions are the inner allocator's.
unsafe impl<A: InPlaceAlloc> InPlaceAlloc for Counting<A> {
    unsafe fn usable_size(&self, ptr: *mut u8, layout: Layout) -> usize {
        // SAFETY: the caller's promise.
        unsafe { self.inner.usable_size(ptr, layout) }
    }

    unsafe fn reallocate_inplace(
        &self,
        ptr: *mut u8,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: the caller's promise.
        let block = unsafe { self.inner.reallocate_inplace(ptr, layout, new_size) }?;
        self.resized(layout.size(), new_size);
        Some(block)
    }
}

// `switch!()` is a type where a type stands, and its value where a value does.
alloc_switch::global_allocator!(
    static ALLOCATOR: Counting<alloc_switch::switch!()> = Counting::new(alloc_switch::switch!()),
    conf = "dirty_decay_ms:1000"
);

fn main() {
    println!("{}", ALLOCATOR.inner); // the first line allocates a buffer, which stays
    let before = ALLOCATOR.held();
    let words: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    let held = ALLOCATOR.held() - before;
    println!("{} words hold {held} bytes", words.len());
    assert!(held >= 1000 * std::mem::size_of::<String>() + 2890); // 2,890 digits

    drop(words);
    assert_eq!(ALLOCATOR.held(), before);
    println!("at most {} bytes were held", ALLOCATOR.peak());
}
