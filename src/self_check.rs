//! Asks the running process whether the choice holds.

#[cfg(not(alloc_switch_malloc))]
use std::alloc::System;
use std::alloc::{alloc, dealloc, GlobalAlloc, Layout};
use std::hint::black_box;

use crate::choice::Choice;
use crate::handle::SelfCheckError;
#[cfg(alloc_switch_jemalloc)]
use crate::jemalloc;
use crate::system;

/// jemalloc counts what each thread allocates, exactly.
#[cfg(alloc_switch_jemalloc)]
#[inline]
pub(crate) fn with_jemalloc(choice: Choice) -> Result<(), SelfCheckError> {
    if !choice.is_jemalloc() {
        // `malloc` is jemalloc's, and that is what was not chosen.
        return Err(SelfCheckError::Artifact(choice));
    }
    if system::has_sanitizer() {
        return Err(SelfCheckError::Sanitizer(choice));
    }
    let allocated = || jemalloc::thread_stats().map(|stats| stats.allocated);
    let counts = |before: Option<u64>, bytes: usize| match (before, allocated()) {
        (Some(before), Some(after)) => after.wrapping_sub(before) >= bytes as u64,
        _ => true, // nobody to ask
    };

    let before = allocated();
    let ours = with_block(64, &Registered, || counts(before, 64));
    if ours == Some(false) {
        return Err(SelfCheckError::Artifact(choice));
    }

    // The part of `fmt::format` that allocates is in std's own object code, wherever that is
    // linked.
    let before = allocated();
    let theirs = std::fmt::format(black_box(format_args!("{choice} {:p}", &before)));
    if !counts(before, theirs.len()) {
        std::mem::forget(theirs); // to free it is what aborts
        return Err(SelfCheckError::Std(choice));
    }
    Ok(())
}

/// The C library counts for the whole process, if at all: other threads allocate and free in the
/// meantime. So the block is large, half of it is taken for the whole, there are several, and one
/// that was counted is enough. Where
/// somebody has replaced `malloc` (a sanitizer, valgrind, `LD_PRELOAD`) the C library does not
/// count what `System` allocates either, and there is nobody to ask.
#[cfg(not(alloc_switch_malloc))]
#[inline]
pub(crate) fn with_system(choice: Choice) -> Result<(), SelfCheckError> {
    const BYTES: [usize; 4] = [64 << 20, 1 << 20, 64 << 10, 4 << 10];
    let is_counted = |bytes: usize, allocator: &dyn GlobalAlloc| {
        let before = system::allocated()?;
        let after = with_block(bytes, allocator, system::allocated)??;
        Some(after.wrapping_sub(before) as isize >= (bytes / 2) as isize)
    };
    let mut result = Ok(());
    for bytes in BYTES.into_iter().flat_map(|bytes| [bytes; 4]) {
        match (is_counted(bytes, &System), is_counted(bytes, &Registered)) {
            (Some(true), Some(true)) => return Ok(()),
            (Some(true), Some(false)) => result = Err(SelfCheckError::Artifact(choice)),
            _ => {}
        }
    }
    result
}

#[inline]
pub(crate) fn with_fallback(choice: Choice) -> Result<(), SelfCheckError> {
    match system::has_sanitizer() {
        true => Err(SelfCheckError::Sanitizer(choice)),
        false => Ok(()),
    }
}

/// Whatever allocator is registered.
struct Registered;

// SAFETY: both functions are the registered allocator's.
unsafe impl GlobalAlloc for Registered {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { dealloc(ptr, layout) }
    }
}

/// What `ask` answers while there is a block of this size; `None` if the allocator gives none.
#[inline]
fn with_block<T>(bytes: usize, allocator: &dyn GlobalAlloc, ask: impl FnOnce() -> T) -> Option<T> {
    let layout = Layout::array::<u8>(bytes).expect("less than a usize can hold");
    // SAFETY: the layout has a size.
    let block = black_box(unsafe { allocator.alloc(layout) });
    if block.is_null() {
        return None;
    }
    let answer = ask();
    // SAFETY: allocated above with this layout.
    unsafe { allocator.dealloc(block, layout) };
    Some(answer)
}
