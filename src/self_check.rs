//! Asks the running process whether the choice holds.

use std::alloc::{alloc, dealloc, Layout};
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
    let ours = with_block(64, || counts(before, 64));
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
/// meantime. So the block is large, there are several, and one that was counted is enough.
#[cfg(not(alloc_switch_malloc))]
#[inline]
pub(crate) fn with_system(choice: Choice) -> Result<(), SelfCheckError> {
    const BYTES: [usize; 4] = [64 << 20, 1 << 20, 64 << 10, 4 << 10];
    let mut answers = BYTES.into_iter().flat_map(|bytes| [bytes; 4]).filter_map(|bytes| {
        let before = system::allocated()?;
        let after = with_block(bytes, system::allocated)??;
        Some(after.wrapping_sub(before) as isize >= bytes as isize)
    });
    match answers.next() {
        None | Some(true) => Ok(()),
        Some(false) if answers.any(|counted| counted) => Ok(()),
        Some(false) => Err(SelfCheckError::Artifact(choice)),
    }
}

#[inline]
pub(crate) fn with_fallback(choice: Choice) -> Result<(), SelfCheckError> {
    match system::has_sanitizer() {
        true => Err(SelfCheckError::Sanitizer(choice)),
        false => Ok(()),
    }
}

/// What `ask` answers while there is a block of this size from the global allocator; `None` if it
/// gives none.
#[inline]
fn with_block<T>(bytes: usize, ask: impl FnOnce() -> T) -> Option<T> {
    let layout = Layout::array::<u8>(bytes).expect("less than a usize can hold");
    // SAFETY: the layout has a size.
    let block = black_box(unsafe { alloc(layout) });
    if block.is_null() {
        return None;
    }
    let answer = ask();
    // SAFETY: allocated above with this layout.
    unsafe { dealloc(block, layout) };
    Some(answer)
}
