//! The two functions that `GlobalAlloc` lost. A layer on top of the core, behind the feature
//! `in-place`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::NonNull;

#[cfg(alloc_switch_jemalloc)]
use crate::chosen::JEMALLOC;
use crate::chosen::{Answer, Chosen, CUSTOM, FALLBACK, SYSTEM};

/// A `GlobalAlloc` that also says how large a block really is, and resizes a block where it stands.
///
/// Both functions were part of Rust's unstable allocator interface before [`GlobalAlloc`], which
/// does not have them. [`Chosen`] and [`System`] have them. An allocator of one's own gets them
/// with an empty `impl`: the default methods answer that a block is as large as was asked for, and
/// stays so.
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
/// returns a pointer that the compiler cannot connect with the old one, such as one that went
/// through an `asm!` that may do anything with it.
// Rust's `alloc` and C's `malloc` tell LLVM how large a block is. LLVM then assumes that no pointer
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
    /// library moves over-aligned blocks within theirs. A fallback or custom allocator: the size
    /// asked for.
    ///
    /// # Safety
    ///
    /// `ptr` is a block of this allocator with this layout. On the system allocator, a library that
    /// replaces `malloc` (LD_PRELOAD) replaces `malloc_usable_size` too, as such libraries do.
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
    /// shrinks. A fallback or custom allocator: never.
    ///
    /// # Safety
    ///
    /// What [`usable_size`](Self::usable_size) asks for, and `new_size` is not zero.
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

/// The pointer to a block that has another size now: to the compiler, one that comes from somewhere
/// else.
#[inline(always)]
fn as_new(ptr: *mut u8) -> Option<NonNull<u8>> {
    cfg_if::cfg_if! {
        // Where stable Rust has inline assembler since 1.79. Miri and Kani cannot run it.
        if #[cfg(all(
            any(
                target_arch = "x86",
                target_arch = "x86_64",
                target_arch = "arm",
                target_arch = "aarch64",
                target_arch = "riscv32",
                target_arch = "riscv64",
                target_arch = "loongarch64"
            ),
            not(any(miri, kani))
        ))] {
            let mut new = ptr;
            // SAFETY: there is no instruction. As far as the compiler knows there may be any, with
            // any effect on memory and on the register.
            unsafe {
                std::arch::asm!("/* {0} */", inout(reg) new, options(nostack, preserves_flags));
            }
            NonNull::new(new)
        } else {
            // std promises nothing, but has nothing better here.
            NonNull::new(std::hint::black_box(ptr))
        }
    }
}

/// The usable size of a block of C's `malloc`, as far as the C library tells.
///
/// # Safety
///
/// `_ptr` is a block that `System` has allocated.
#[inline]
unsafe fn malloc_size(_ptr: *mut u8) -> Option<usize> {
    cfg_if::cfg_if! {
        if #[cfg(miri)] {
            None
        } else if #[cfg(any(target_os = "linux", target_os = "android"))] {
            // SAFETY: `System` has the block from `malloc` or its kin.
            Some(unsafe { libc::malloc_usable_size(_ptr.cast()) })
        } else if #[cfg(target_os = "freebsd")] {
            extern "C" {
                fn malloc_usable_size(ptr: *mut libc::c_void) -> usize; // not in libc
            }
            // SAFETY: `System` has the block from `malloc` or its kin.
            Some(unsafe { malloc_usable_size(_ptr.cast()) })
        } else if #[cfg(target_vendor = "apple")] {
            // SAFETY: `System` has the block from `malloc` or its kin.
            Some(unsafe { libc::malloc_size(_ptr.cast()) })
        } else {
            // Windows has `HeapSize`, but `System` moves over-aligned blocks within theirs.
            None
        }
    }
}

// SAFETY: a block is resized only within its usable size, all of which `free` frees and `realloc`
// copies, whatever the layout says; neither looks at the size that was asked for.
unsafe impl InPlaceAlloc for System {
    #[inline]
    unsafe fn usable_size(&self, ptr: *mut u8, layout: Layout) -> usize {
        // SAFETY: the block is `System`'s, as the caller promises.
        unsafe { malloc_size(ptr) }.map_or(layout.size(), |size| size.max(layout.size()))
    }

    #[inline]
    unsafe fn reallocate_inplace(
        &self,
        ptr: *mut u8,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: the block is `System`'s with this layout, as the caller promises.
        let usable = unsafe { self.usable_size(ptr, layout) };
        as_new(ptr).filter(|_| (layout.size()..=usable).contains(&new_size))
    }
}

// SAFETY: blocks of this choice are `System`'s, which keeps the promises.
unsafe impl<const REASON: u8, T> InPlaceAlloc for Chosen<Answer<SYSTEM, REASON, T>> {
    #[inline]
    unsafe fn usable_size(&self, ptr: *mut u8, layout: Layout) -> usize {
        // SAFETY: the block is `System`'s with this layout, as the caller promises.
        unsafe { System.usable_size(ptr, layout) }
    }

    #[inline]
    unsafe fn reallocate_inplace(
        &self,
        ptr: *mut u8,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: the block is `System`'s with this layout, as the caller promises.
        unsafe { System.reallocate_inplace(ptr, layout, new_size) }
    }
}

// SAFETY: `xallocx` moves nothing. A block has been resized where its size class is that of the new
// size, which is all that `sdallocx` asks of the size that it is freed with:
// <https://jemalloc.net/jemalloc.3.html>.
#[cfg(alloc_switch_jemalloc)]
unsafe impl<const REASON: u8, T> InPlaceAlloc for Chosen<Answer<JEMALLOC, REASON, T>> {
    #[inline]
    unsafe fn usable_size(&self, ptr: *mut u8, _layout: Layout) -> usize {
        // SAFETY: the block is jemalloc's, as the caller promises.
        unsafe { tikv_jemalloc_sys::sallocx(ptr.cast(), 0) }
    }

    #[inline]
    unsafe fn reallocate_inplace(
        &self,
        ptr: *mut u8,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        let flags = tikv_jemalloc_sys::MALLOCX_ALIGN(layout.align());
        // SAFETY: the block is jemalloc's and `new_size` not zero, as the caller promises. With the
        // alignment jemalloc checks the address, which is aligned. `nallocx` answers zero for a
        // size that no block can have.
        let is_resized = unsafe {
            tikv_jemalloc_sys::xallocx(ptr.cast(), new_size, 0, flags)
                == tikv_jemalloc_sys::nallocx(new_size, flags)
        };
        as_new(ptr).filter(|_| is_resized)
    }
}

// SAFETY: the default methods change nothing.
unsafe impl<const REASON: u8, T: GlobalAlloc> InPlaceAlloc for Chosen<Answer<FALLBACK, REASON, T>> {}

// SAFETY: the default methods change nothing.
unsafe impl<const REASON: u8, T: GlobalAlloc> InPlaceAlloc for Chosen<Answer<CUSTOM, REASON, T>> {}
