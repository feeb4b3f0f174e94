//! The handle, and the step from a decision to a type.

use core::alloc::{GlobalAlloc, Layout};
use core::fmt;
use std::path::Path;

use crate::decide::Reason;
use crate::{Choice, Error, InPlaceAlloc, Stats, ThreadStats};

/// The allocator that was chosen for an artifact.
///
/// [`global_allocator!`](crate::global_allocator!) makes the static, and [`switch!`](crate::switch!) spells the type and
/// its only value for a wrapper that wants a `T: GlobalAlloc`. The parameters are the decision; nobody needs to write
/// them. It has no size, and each of its functions is `tikv_jemallocator::Jemalloc`'s or `std::alloc::System`'s.
#[derive(Clone, Copy, Default)]
pub struct Switch<const JEMALLOC: bool, const REASON: u8>;

/// A trait with one implementation for each allocator, so that an artifact on the system allocator has not one reference
/// to jemalloc, optimised or not. A branch on a constant would leave them in until the optimiser has run, and one is
/// enough for the linker to take jemalloc and its constructor in.
#[doc(hidden)]
pub trait Select {
    type Backend: Backend + 'static;
    /// A reference, because `System` passes its own address on: to copy it to the stack costs an instruction.
    const BACKEND: &'static Self::Backend;
}

#[doc(hidden)]
pub struct Selector<const JEMALLOC: bool>;

impl Select for Selector<false> {
    type Backend = std::alloc::System;
    const BACKEND: &'static Self::Backend = &std::alloc::System;
}

#[cfg(alloc_switch_jemalloc)]
impl Select for Selector<true> {
    type Backend = tikv_jemallocator::Jemalloc;
    const BACKEND: &'static Self::Backend = &tikv_jemallocator::Jemalloc;
}

/// What the handle can do beyond allocating; see the methods of [`Switch`]. What is provided is the answer of an allocator
/// that cannot.
#[doc(hidden)]
pub trait Backend: InPlaceAlloc {
    /// Whether this allocator owns the memory at `ptr`.
    fn owns(ptr: *const u8) -> bool;

    fn stats() -> Option<Stats>;

    fn purge() -> Result<(), Error>;

    #[inline]
    fn thread_stats() -> Option<ThreadStats> {
        None
    }

    #[inline]
    fn background_threads(_on: bool) -> Result<(), Error> {
        Err(Error::System)
    }

    #[inline]
    fn sample(_on: bool) -> Result<(), Error> {
        Err(Error::System)
    }

    #[inline]
    fn dump(_path: &Path) -> Result<(), Error> {
        Err(Error::System)
    }
}

impl<const JEMALLOC: bool, const REASON: u8> Switch<JEMALLOC, REASON> {
    const CHOICE: Choice = Choice::new(Reason::ALL[REASON as usize]);

    /// The decision and its reason. Costs nothing: it is part of the type.
    #[inline]
    pub const fn choice(&self) -> Choice {
        Self::CHOICE
    }
}

/// Prints the [`Choice`].
impl<const JEMALLOC: bool, const REASON: u8> fmt::Display for Switch<JEMALLOC, REASON> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Self::CHOICE.fmt(f)
    }
}

impl<const JEMALLOC: bool, const REASON: u8> fmt::Debug for Switch<JEMALLOC, REASON> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Switch").field(&Self::CHOICE).finish()
    }
}

// SAFETY: every function is the chosen allocator's own, called with the caller's arguments.
unsafe impl<const JEMALLOC: bool, const REASON: u8> GlobalAlloc for Switch<JEMALLOC, REASON>
where
    Selector<JEMALLOC>: Select,
{
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the callee's.
        unsafe { Selector::<JEMALLOC>::BACKEND.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the callee's.
        unsafe { Selector::<JEMALLOC>::BACKEND.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the callee's.
        unsafe { Selector::<JEMALLOC>::BACKEND.dealloc(ptr, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promise is the callee's.
        unsafe { Selector::<JEMALLOC>::BACKEND.realloc(ptr, layout, new_size) }
    }
}
