//! A wrapper that counts, around whichever allocator the rule chooses. Rust's own
//! `#[global_allocator]` registers it as it stands; the vetoes apply to what is inside.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

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
        // SAFETY: the layout has a size, as the caller promises.
        let ptr = unsafe { self.inner.alloc(layout) };
        if !ptr.is_null() {
            self.resized(0, layout.size());
        }
        ptr
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the layout has a size, as the caller promises.
        let ptr = unsafe { self.inner.alloc_zeroed(layout) };
        if !ptr.is_null() {
            self.resized(0, layout.size());
        }
        ptr
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        self.resized(layout.size(), 0);
        // SAFETY: the block is the inner allocator's, with this layout, as the caller promises.
        unsafe { self.inner.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the block is the inner allocator's, with this layout, and the new size is one
        // that a layout may have, as the caller promises.
        let new = unsafe { self.inner.realloc(ptr, layout, new_size) };
        if !new.is_null() {
            self.resized(layout.size(), new_size);
        }
        new
    }
}

type Inner = alloc_switch::switch!();

#[global_allocator]
static ALLOCATOR: Counting<Inner> = Counting::new(Inner::new());

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
