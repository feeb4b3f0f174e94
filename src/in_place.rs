//! The two functions that `GlobalAlloc` lost.

use core::alloc::{GlobalAlloc, Layout};

use crate::switch::{Select, Selector};
use crate::Switch;

/// A `GlobalAlloc` that also says how large a block really is, and resizes a block where it stands.
///
/// Both functions were part of Rust's allocator interface until 1.31, and are missing from [`GlobalAlloc`]. [`Switch`]
/// has them, [`System`](std::alloc::System) has them, and a custom allocator gets them with an empty `impl`: the provided
/// functions answer as `alloc_system` did, that a block is as large as was asked for and stays so.
///
/// ```
/// use alloc_switch::InPlaceAlloc;
/// use std::alloc::{GlobalAlloc, Layout, System};
///
/// let layout = Layout::array::<u8>(100).unwrap();
/// // SAFETY: the layout has a size, and the block is used and freed with a layout that it fits.
/// unsafe {
///     let block = System.alloc(layout);
///     assert!(!block.is_null());
///     let usable = System.usable_size(block, layout);
///     assert!(usable >= 100);
///     let size = if System.reallocate_inplace(block, layout, usable) >= usable { usable } else { 100 };
///     block.write_bytes(1, size);
///     System.dealloc(block, Layout::array::<u8>(size).unwrap());
/// }
/// ```
///
/// # Which layouts fit a block
///
/// An allocator is handed back the layout of each block, and jemalloc relies on it. A block *fits* a layout of the
/// alignment it was allocated with and of any size from `min` to `max`, where `min` is the size it was last allocated,
/// reallocated or successfully resized with, and `max` is the usable size. Every function here and in [`GlobalAlloc`]
/// that takes a block may be given any layout that the block fits.
///
/// # Safety
///
/// An implementation keeps the promises of [`GlobalAlloc`] for every layout that a block fits; all bytes up to the usable
/// size belong to the block, and no call to `usable_size` changes that; and `reallocate_inplace` never moves a block,
/// changes bytes below the smaller of the old and the new size, or unwinds.
#[diagnostic::on_unimplemented(
    note = "a custom allocator for `global_allocator!` implements `GlobalAlloc` and `unsafe impl alloc_switch::InPlaceAlloc for {Self} {{}}`"
)]
pub unsafe trait InPlaceAlloc: GlobalAlloc {
    /// The usable size of the block at `ptr` in bytes, at least `layout.size()`.
    ///
    /// jemalloc: `sallocx`. System: `malloc_usable_size` on Linux, Android and FreeBSD, `malloc_size` on Apple, elsewhere
    /// the size asked for; on Windows because the standard library moves over-aligned blocks within theirs.
    ///
    /// The bytes beyond `layout.size()` are uninitialised, even in a zeroed block. Resize the block in place to that size
    /// before using them: `realloc` copies no more than the layout it is given says.
    ///
    /// # Safety
    ///
    /// `ptr` is a block of this allocator, and fits `layout`.
    #[inline]
    unsafe fn usable_size(&self, ptr: *mut u8, layout: Layout) -> usize {
        let _ = ptr;
        layout.size()
    }

    /// Tries to resize the block at `ptr` to `new_size` bytes without moving it, and returns its usable size afterwards.
    ///
    /// * To grow (`new_size > layout.size()`): done if the answer is at least `new_size`.
    /// * To shrink (`new_size < layout.size()`): done if the answer is less than `layout.size()`.
    /// * Otherwise the block is as it was and keeps its layout.
    ///
    /// When it is done, the block fits sizes from `new_size` to the answer, and no longer `layout`'s unless that is among
    /// them. The bytes that are new are uninitialised. A size that no block can have is answered as not done.
    ///
    /// jemalloc: `xallocx`. It resizes blocks of more than 14 KiB if the pages behind them are free; a smaller block has
    /// its size class, and only grows into the rest of that. System: a block grows into its usable size, and never shrinks.
    ///
    /// # Safety
    ///
    /// `ptr` is a block of this allocator and fits `layout`, and `new_size` is not zero. After the call the block is used
    /// with a layout that it then fits.
    #[inline]
    unsafe fn reallocate_inplace(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> usize {
        let _ = (ptr, new_size);
        layout.size()
    }
}

/// Lets a value through if its type is fit for `global_allocator!`.
///
/// ```compile_fail,E0277
/// use std::alloc::{GlobalAlloc, Layout};
/// struct WithoutTheTrait;
/// unsafe impl GlobalAlloc for WithoutTheTrait {
///     unsafe fn alloc(&self, _: Layout) -> *mut u8 { std::ptr::null_mut() }
///     unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
/// }
/// alloc_switch::global_allocator!(custom: WithoutTheTrait = WithoutTheTrait);
/// ```
#[doc(hidden)]
pub const fn custom<T: InPlaceAlloc + Sync>(value: T) -> T {
    value
}

// SAFETY: both functions are the chosen allocator's own, called with the caller's arguments.
unsafe impl<const JEMALLOC: bool, const REASON: u8> InPlaceAlloc for Switch<JEMALLOC, REASON>
where
    Selector<JEMALLOC>: Select,
{
    #[inline]
    unsafe fn usable_size(&self, ptr: *mut u8, layout: Layout) -> usize {
        // SAFETY: the caller's promise is the callee's.
        unsafe { Selector::<JEMALLOC>::BACKEND.usable_size(ptr, layout) }
    }

    #[inline]
    unsafe fn reallocate_inplace(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> usize {
        // SAFETY: the caller's promise is the callee's.
        unsafe { Selector::<JEMALLOC>::BACKEND.reallocate_inplace(ptr, layout, new_size) }
    }
}
