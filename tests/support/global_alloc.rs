//! The functions of `GlobalAlloc`, the same on both allocators, for a program that names its own
//! `ALLOCATOR`.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::ALLOCATOR;

#[path = "bytes.rs"]
mod bytes;
use bytes::is_full_of;

/// Of small blocks and large ones, and of those that an allocator maps by themselves.
const SIZES: [usize; 9] = [1, 17, 100, 1025, 5000, 20_000, 100_000, 1 << 20, 5 << 20];
const ALIGNS: [usize; 5] = [1, 16, 64, 4096, 1 << 21];

/// A block that is written to and freed, one of the same size, which may have the same memory and
/// is zeroed, and that one with another size.
fn alloc_and_realloc(align: usize, size: usize, new_size: usize) {
    let layout = Layout::from_size_align(size, align).unwrap();
    let new_layout = Layout::from_size_align(new_size, align).unwrap();
    // SAFETY: no size is zero, each block is freed with the layout that it has then, and what is
    // read was written or is zeroed. `black_box`: the compiler may remove a pair of calls.
    unsafe {
        let dirty = black_box(ALLOCATOR.alloc(layout));
        assert!(!dirty.is_null() && dirty as usize % align == 0, "{layout:?}");
        dirty.write_bytes(1, size);
        ALLOCATOR.dealloc(dirty, layout);

        let zeroed = black_box(ALLOCATOR.alloc_zeroed(layout));
        assert!(!zeroed.is_null() && zeroed as usize % align == 0, "{layout:?}");
        assert!(is_full_of(0, zeroed, size), "{layout:?} is not zeroed");
        zeroed.write_bytes(2, size);

        let moved = ALLOCATOR.realloc(zeroed, layout, new_size);
        assert!(!moved.is_null() && moved as usize % align == 0, "{layout:?} to {new_size}");
        assert!(is_full_of(2, moved, size.min(new_size)), "{layout:?} to {new_size}");
        moved.write_bytes(3, new_size);
        ALLOCATOR.dealloc(moved, new_layout);
    }
}

#[test]
fn a_block_is_aligned_zeroed_and_keeps_its_bytes() {
    for align in ALIGNS {
        for size in SIZES {
            for new_size in SIZES {
                alloc_and_realloc(align, size, new_size);
            }
        }
    }
}

#[test]
fn more_than_there_is_is_null_and_leaves_the_block_alone() {
    for align in ALIGNS {
        let layout = Layout::from_size_align(100, align).unwrap();
        let most = isize::MAX as usize + 1 - align;
        let huge = Layout::from_size_align(most, align).unwrap();
        // SAFETY: no size is zero, and the block keeps its layout.
        unsafe {
            let block = black_box(ALLOCATOR.alloc(layout));
            block.write_bytes(1, 100);
            assert!(black_box(ALLOCATOR.alloc(huge)).is_null());
            assert!(black_box(ALLOCATOR.alloc_zeroed(huge)).is_null());
            assert!(black_box(ALLOCATOR.realloc(block, layout, most)).is_null());
            assert!(is_full_of(1, block, 100));
            ALLOCATOR.dealloc(block, layout);
        }
    }
}

/// A thread's last destructors run when the allocator's own, if it has one, may have run already.
#[test]
fn a_destructor_of_a_thread_allocates() {
    static BYTES: AtomicUsize = AtomicUsize::new(0);
    struct Last;
    impl Drop for Last {
        fn drop(&mut self) {
            BYTES.fetch_add(black_box("one more".repeat(1000)).len(), Relaxed);
        }
    }
    thread_local!(static LAST: Last = const { Last });
    for _ in 0..20 {
        std::thread::spawn(|| LAST.with(|_| black_box(vec![1_u8; 100]))).join().unwrap();
    }
    assert_eq!(BYTES.load(Relaxed), 20 * 8 * 1000);
}
