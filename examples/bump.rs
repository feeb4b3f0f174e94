//! An allocator in jemalloc's place: it hands out one arena from front to back and takes nothing
//! back, for a program that runs once and ends. The block at the end of the arena is resized where
//! it stands, so a vector that grows alone copies nothing.
//!
//! Under Miri, a sanitizer or `--cfg alloc_switch="system"` the program has the system allocator.
//! One that must have its own whatever is said registers it with Rust's `#[global_allocator]`.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const SIZE: usize = 64 << 20;

/// `end` is where the free part begins, as an offset.
#[repr(align(4096))]
struct Arena {
    bytes: UnsafeCell<[u8; SIZE]>,
    end: AtomicUsize,
}

// SAFETY: no two blocks have a byte in common, because `end` moves by compare-and-exchange.
unsafe impl Sync for Arena {}

static ARENA: Arena = Arena { bytes: UnsafeCell::new([0; SIZE]), end: AtomicUsize::new(0) };

impl Arena {
    fn start(&self) -> *mut u8 {
        self.bytes.get().cast()
    }

    /// Moves the end of the block that ends where the free part begins, and of no other.
    fn resize_last(&self, block: *mut u8, size: usize, new_size: usize) -> bool {
        let start = block as usize - self.start() as usize;
        let new_end = start.checked_add(new_size).filter(|&new_end| new_end <= SIZE);
        new_end.is_some_and(|new_end| {
            self.end.compare_exchange(start + size, new_end, Relaxed, Relaxed).is_ok()
        })
    }
}

/// The allocator, which has no size: its memory is the arena.
struct Bump;

// SAFETY: a block starts at a multiple of its alignment, since the arena starts at a multiple of
// 4,096 and larger alignments are refused; and it ends where `end` was moved to.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let place = |end: usize| {
            let start = end.checked_next_multiple_of(layout.align())?;
            let end = start.checked_add(layout.size())?;
            (end <= SIZE && layout.align() <= 4096).then_some((start, end))
        };
        let before = ARENA.end.fetch_update(Relaxed, Relaxed, |end| place(end).map(|(_, end)| end));
        match before.ok().and_then(place) {
            // SAFETY: the offset is within the arena.
            Some((start, _)) => unsafe { ARENA.start().add(start) },
            None => ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _ptr: *mut u8, _layout: Layout) {}

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if ARENA.resize_last(ptr, layout.size(), new_size) {
            return ptr;
        }
        // SAFETY: the caller promises that the new size is one that a layout may have. The blocks
        // are distinct.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(new_size, layout.align()));
            if !new.is_null() {
                ptr::copy_nonoverlapping(ptr, new, layout.size().min(new_size));
            }
            new
        }
    }
}

alloc_switch::global_allocator!(static ALLOCATOR = custom: Bump = Bump);

fn main() {
    println!("{ALLOCATOR}");
    let mut numbers: Vec<u64> = Vec::with_capacity(1);
    let first = numbers.as_ptr();
    numbers.extend(0..1_000_000);
    assert_eq!(numbers.iter().sum::<u64>(), 499_999_500_000);
    if ALLOCATOR.choice().allocator() == alloc_switch::Allocator::Custom {
        assert_eq!(numbers.as_ptr(), first, "it grew where it stood");
        println!("{} bytes of the arena are used", ARENA.end.load(Relaxed));
    }
}
