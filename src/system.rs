//! What the handle does on the system allocator.

use std::alloc::System;

use crate::switch::Backend;

impl Backend for System {
    #[inline]
    fn owns(ptr: *const u8) -> bool {
        // Linked as `malloc`, jemalloc is what the system allocator calls.
        #[cfg(all(alloc_switch_jemalloc, any(feature = "override-malloc", alloc_switch_unprefixed)))]
        if crate::jemalloc::owns(ptr) {
            return false;
        }
        // SAFETY: the registered allocator of an artifact that has this backend is `System`, which is `malloc`.
        unsafe { libc_usable_size(ptr) }.map_or(true, |size| size > 0)
    }
}

cfg_if::cfg_if! {
    // `std::alloc::System` is `malloc` and `posix_memalign` on Unix, and each of these takes what either gave.
    if #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))] {
        // https://man7.org/linux/man-pages/man3/malloc_usable_size.3.html, FreeBSD malloc_usable_size(3)
        extern "C" {
            fn malloc_usable_size(ptr: *const u8) -> usize;
        }

        /// What libc says of the block at `ptr`, in bytes; `None` where it has no way to say.
        ///
        /// # Safety
        ///
        /// `ptr` came from `System` and has not been freed.
        #[inline]
        unsafe fn libc_usable_size(ptr: *const u8) -> Option<usize> {
            // SAFETY: the caller's promise.
            Some(unsafe { malloc_usable_size(ptr) })
        }
    } else if #[cfg(target_vendor = "apple")] {
        // malloc_size(3); zero for memory that belongs to no zone.
        extern "C" {
            fn malloc_size(ptr: *const u8) -> usize;
        }

        #[inline]
        unsafe fn libc_usable_size(ptr: *const u8) -> Option<usize> {
            // SAFETY: the function takes any pointer.
            Some(unsafe { malloc_size(ptr) })
        }
    } else {
        // Windows has `HeapSize`, but `System` moves over-aligned blocks within theirs; the others have nothing.
        #[inline]
        unsafe fn libc_usable_size(_ptr: *const u8) -> Option<usize> {
            None
        }
    }
}
