//! Self-checks in a program whose registered allocator is none of those that are checked, and whose
//! blocks nobody else knows.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, UnsafeCell};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use alloc_switch::{Handle, SelfCheckError};

/// Puts a header of 64 bytes in front of each block, from an arena of its own.
struct Arena {
    bytes: UnsafeCell<[u8; Arena::SIZE]>,
    end: AtomicUsize,
}

impl Arena {
    const SIZE: usize = 64 << 20;

    /// How much of the arena a block takes.
    fn size(layout: Layout) -> usize {
        (64 + layout.align() + layout.size()).next_multiple_of(64)
    }
}

// SAFETY: no two blocks have a byte in common, because `end` only moves on.
unsafe impl Sync for Arena {}

// SAFETY: a block is aligned, within the arena, and ends where the next one begins.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if REFUSES.get() {
            return null_mut();
        }
        let size = Arena::size(layout);
        let grow = |at: usize| at.checked_add(size).filter(|&end| end <= Arena::SIZE);
        let Ok(at) = self.end.fetch_update(Relaxed, Relaxed, grow) else { return null_mut() };
        // SAFETY: the block has `size` bytes from `at` on, of which the header is the first 64.
        unsafe {
            let header = self.bytes.get().cast::<u8>().add(at + 64);
            let block = header.add(header.align_offset(layout.align()));
            block.sub(size_of::<usize>()).cast::<usize>().write_unaligned(at);
            block
        }
    }

    /// Takes the last block back, and no other.
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `alloc` has written this.
        let at = unsafe { block.sub(size_of::<usize>()).cast::<usize>().read_unaligned() };
        let _ = self.end.compare_exchange(at + Arena::size(layout), at, Relaxed, Relaxed);
    }
}

thread_local! {
    static REFUSES: Cell<bool> = const { Cell::new(false) };
}

#[global_allocator]
static ARENA: Arena = Arena { bytes: UnsafeCell::new([0; Arena::SIZE]), end: AtomicUsize::new(0) };

type OnSystem = alloc_switch::switch!(system);
type ByPolicy = alloc_switch::switch!();
type WithFallback = alloc_switch::switch!(fallback: System);

/// Whether the C library can say whose a block is.
const COUNTS: bool = cfg!(any(
    all(target_os = "linux", target_env = "gnu", not(alloc_switch_malloc)),
    target_vendor = "apple",
    alloc_switch_malloc
));

#[test]
fn another_registered_allocator_is_found_out_if_it_gives_a_block() {
    let on_system = OnSystem::new();
    let found = Err(SelfCheckError::Artifact(on_system.choice()));
    for _ in 0..3 {
        assert_eq!(on_system.self_check(), if COUNTS { found } else { Ok(()) });
    }

    let by_policy = ByPolicy::new();
    let found = SelfCheckError::Artifact(by_policy.choice());
    let is_asked = COUNTS || by_policy.choice().is_jemalloc();
    assert_eq!(by_policy.self_check(), if is_asked { Err(found) } else { Ok(()) });

    let sentence = found.to_string();
    let start = format!("the chosen allocator is {by_policy}, but memory allocated here does not");
    assert!(sentence.starts_with(&start), "{sentence}");

    // As one that keeps to a limit, for as long as the check alone asks it.
    REFUSES.set(true);
    let answers = [on_system.self_check(), by_policy.self_check()];
    REFUSES.set(false);
    assert_eq!(answers.map(|answer| answer.is_err()), [cfg!(alloc_switch_malloc), false]);
}

#[test]
fn a_switch_with_a_fallback_has_a_handle() {
    let with_fallback = WithFallback::with_fallback(System);
    let handle: &dyn Handle = &with_fallback;
    assert_eq!(handle.choice(), with_fallback.choice());
    assert_eq!(handle.choice().allocator(), ByPolicy::new().choice().allocator());
}
