//! An allocator of one's own, without a name: nothing enters the caller's namespace, and no
//! jemalloc is linked.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

struct Counted;

// SAFETY: `System`'s.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }
}

// SAFETY: the provided functions promise nothing.
unsafe impl alloc_switch::InPlaceAlloc for Counted {}

alloc_switch::global_allocator!(custom: Counted = Counted);

#[test]
fn it_is_the_one_in_use() {
    let before = ALLOCATIONS.load(Relaxed);
    drop(std::hint::black_box(vec![1_u8; 100]));
    assert!(ALLOCATIONS.load(Relaxed) > before);
}

/// `override-malloc` links it for everyone.
#[test]
#[cfg(all(target_os = "linux", not(alloc_switch_malloc)))]
fn no_jemalloc_is_linked() {
    let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    // put together, so as not to find itself; the symbol table of a test program is not stripped
    let (found, needle) = (
        |n: &[u8]| program.windows(n.len()).any(|w| w == n),
        [b"_rjem".as_slice(), b"_mallocx"].concat(),
    );
    assert!(found(b"it_is_the_one_in_use"));
    assert!(!found(&needle));
}
