//! An allocator of one's own that hands out one arena from front to back and takes nothing back,
//! for a program that runs once and ends. The block at the end of the arena is resized in place, so
//! a vector that grows alone copies nothing.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::hint::black_box;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use alloc_switch::InPlaceAlloc;

const SIZE: usize = 64 << 20;

/// `end` is where the free part begins, as an offset.
#[repr(align(4096))]
struct Bump {
    arena: UnsafeCell<[u8; SIZE]>,
    end: AtomicUsize,
}

// SAFETY: no two blocks have a byte in common, because `end` moves by compare-and-exchange.
unsafe impl Sync for Bump {}

impl Bump {
    const fn new() -> Self {
        Bump { arena: UnsafeCell::new([0; SIZE]), end: AtomicUsize::new(0) }
    }

    fn start(&self) -> *mut u8 {
        self.arena.get().cast()
    }
}

// SAFETY: a block starts at a multiple of its alignment, since the arena starts at a multiple of
// 4,096 and larger alignments are refused; and it ends where `end` was moved to.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let place = |end: usize| {
            let start = end.checked_next_multiple_of(layout.align())?;
            let end = start.checked_add(layout.size())?;
            (end <= SIZE && layout.align() <= 4096).then_some((start, end))
        };
        let before = self.end.fetch_update(Relaxed, Relaxed, |end| place(end).map(|(_, end)| end));
        match before.ok().and_then(place) {
            // SAFETY: the offset is within the arena.
            Some((start, _)) => unsafe { self.start().add(start) },
            None => ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _ptr: *mut u8, _layout: Layout) {}

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promises; the new layout is valid because the caller says so. The
        // blocks are distinct.
        unsafe {
            if let Some(block) = self.reallocate_inplace(ptr, layout, new_size) {
                return block.as_ptr();
            }
            let new = self.alloc(Layout::from_size_align_unchecked(new_size, layout.align()));
            if !new.is_null() {
                ptr::copy_nonoverlapping(ptr, new, layout.size().min(new_size));
            }
            new
        }
    }
}

// SAFETY: only the block at the end of the arena is resized, and only by the thread that moves
// `end` from where that block ends. `usable_size` is the provided one: a block is as large as was
// asked for.
unsafe impl InPlaceAlloc for Bump {
    unsafe fn reallocate_inplace(
        &self,
        ptr: *mut u8,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        let start = ptr as usize - self.start() as usize;
        let end = start + layout.size();
        let new_end = start.checked_add(new_size).filter(|&new_end| new_end <= SIZE)?;
        self.end.compare_exchange(end, new_end, Relaxed, Relaxed).ok()?;
        // The compiler may know how large the block was.
        NonNull::new(black_box(ptr))
    }
}

alloc_switch::global_allocator!(static ARENA: Bump = Bump::new());

fn main() {
    let mut numbers: Vec<u64> = Vec::with_capacity(1);
    let first = numbers.as_ptr();
    numbers.extend(0..1_000_000);
    assert_eq!(numbers.as_ptr(), first, "it grew where it stood");
    assert_eq!(numbers.iter().sum::<u64>(), 499_999_500_000);
    println!("{} bytes of the arena are used", ARENA.end.load(Relaxed));
}
