//! The two functions that `GlobalAlloc` lost.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::NonNull;

use crate::system;

/// A `GlobalAlloc` that also says how large a block really is, and resizes a block where it stands.
///
/// Both functions were part of Rust's unstable allocator interface before [`GlobalAlloc`], which
/// does not have them. [`Switch`](crate::Switch) has them, [`System`] has them, and an allocator of
/// one's own gets them with an empty `impl`: the provided functions answer as `alloc_system` did,
/// that a block is as large as was asked for and stays so.
///
/// ```
/// use alloc_switch::InPlaceAlloc;
/// use std::alloc::{GlobalAlloc, Layout, System};
///
/// let mut layout = Layout::array::<u8>(25).unwrap();
/// // SAFETY: the layout has a size, and the block is used and freed as it stands after the resize.
/// unsafe {
///     let mut block = System.alloc(layout);
///     assert!(!block.is_null());
///     let usable = System.usable_size(block, layout);
///     if let Some(resized) = System.reallocate_inplace(block, layout, usable) {
///         block = resized.as_ptr(); // the same address, and the only pointer to use from here
///         layout = Layout::array::<u8>(usable).unwrap();
///     }
///     block.write_bytes(1, layout.size());
///     System.dealloc(block, layout);
/// }
/// ```
///
/// # Safety
///
/// An implementation keeps the promises of [`GlobalAlloc`] for a block with the layout that it was
/// last allocated, reallocated or successfully resized with. `reallocate_inplace` never moves a
/// block, changes no byte below the smaller of the old and the new size, does not unwind, and
/// returns a pointer whose origin the compiler cannot see, such as one that went through
/// [`black_box`](std::hint::black_box).
// Rust's `alloc` and C's `malloc` tell LLVM how large a block is. It then takes it that no pointer
// to that block reaches further, and reorders reads and writes that do.
pub unsafe trait InPlaceAlloc: GlobalAlloc {
    /// The usable size of the block at `ptr` in bytes, at least `layout.size()`.
    ///
    /// It is a size to hand to [`reallocate_inplace`](Self::reallocate_inplace) or to count with,
    /// and no licence to write beyond `layout.size()`: the compiler may know how large the block
    /// was when it was allocated.
    ///
    /// jemalloc: `sallocx`. System: `malloc_usable_size` on Linux, Android and FreeBSD,
    /// `malloc_size` on Apple, elsewhere the size asked for; on Windows because the standard
    /// library moves over-aligned blocks within theirs. A fallback: the size asked for.
    ///
    /// # Safety
    ///
    /// `ptr` is a block of this allocator with this layout.
    #[inline]
    unsafe fn usable_size(&self, ptr: *mut u8, layout: Layout) -> usize {
        let _ = ptr;
        layout.size()
    }

    /// Tries to resize the block at `ptr` to `new_size` bytes without moving it.
    ///
    /// * `Some(block)`: done. The block has the size `new_size` and the alignment of `layout`, and
    ///   only the pointer returned, which has the same address, and pointers derived from it may be
    ///   used from here on: `ptr` and its copies are as good as freed. Bytes that are new are
    ///   uninitialised.
    /// * `None`: the block is as it was and keeps its layout, and `ptr` stays valid.
    ///
    /// jemalloc: `xallocx`. It resizes blocks above the small size classes (more than three and a
    /// half pages) if the pages behind them are free; a smaller block stays in its size class,
    /// within which every size is granted. System: a block grows into its usable size, and never
    /// shrinks. A fallback: never.
    ///
    /// # Safety
    ///
    /// `ptr` is a block of this allocator with this layout, and `new_size` is not zero.
    #[inline]
    unsafe fn reallocate_inplace(
        &self,
        ptr: *mut u8,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        let _ = (ptr, layout, new_size);
        None
    }
}

// SAFETY: the module keeps these promises for blocks of `System`'s.
unsafe impl InPlaceAlloc for System {
    #[inline]
    unsafe fn usable_size(&self, ptr: *mut u8, layout: Layout) -> usize {
        // SAFETY: the caller's promise.
        unsafe { system::usable_size(ptr, layout) }
    }

    #[inline]
    unsafe fn reallocate_inplace(
        &self,
        ptr: *mut u8,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: the caller's promise.
        unsafe { system::reallocate_inplace(ptr, layout, new_size) }
    }
}

/// Lets a value through if its type is fit for `global_allocator!`.
#[doc(hidden)]
pub const fn custom<T: GlobalAlloc + Sync>(value: T) -> T {
    value
}
