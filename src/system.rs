//! What the handle does on the system allocator.

use core::alloc::Layout;
use std::alloc::System;

use crate::switch::Backend;
use crate::{Error, InPlaceAlloc, Stats};

// SAFETY: where `libc::usable_size` answers, `System` is `malloc` and `posix_memalign`, whose blocks may be used up to that
// size; it frees them without a look at their size, and a reallocation copies no less than the layout says. Elsewhere
// nothing is resized.
unsafe impl InPlaceAlloc for System {
    #[inline]
    unsafe fn usable_size(&self, ptr: *mut u8, layout: Layout) -> usize {
        // SAFETY: the caller's promise.
        unsafe { libc::usable_size(ptr) }.map_or(layout.size(), |size| size.max(layout.size()))
    }

    #[inline]
    unsafe fn reallocate_inplace(&self, ptr: *mut u8, layout: Layout, _new_size: usize) -> usize {
        // SAFETY: the caller's promise.
        unsafe { self.usable_size(ptr, layout) }
    }
}

impl Backend for System {
    #[inline]
    fn owns(ptr: *const u8) -> bool {
        // Linked as `malloc`, jemalloc is what the system allocator calls.
        #[cfg(all(
            alloc_switch_jemalloc,
            any(feature = "override-malloc", alloc_switch_unprefixed)
        ))]
        if crate::jemalloc::owns(ptr) {
            return false;
        }
        // SAFETY: the registered allocator of an artifact that has this backend is `System`, which is `malloc`.
        unsafe { libc::usable_size(ptr) }.map_or(true, |size| size > 0)
    }

    #[inline]
    fn stats() -> Option<Stats> {
        #[cfg(all(alloc_switch_jemalloc, alloc_switch_unprefixed))]
        return crate::jemalloc::stats();
        #[cfg(not(all(alloc_switch_jemalloc, alloc_switch_unprefixed)))]
        libc::stats()
    }

    #[inline]
    fn purge() -> Result<(), Error> {
        #[cfg(all(alloc_switch_jemalloc, alloc_switch_unprefixed))]
        return crate::jemalloc::purge();
        #[cfg(not(all(alloc_switch_jemalloc, alloc_switch_unprefixed)))]
        libc::purge()
    }
}

/// The functions of the C library, by platform. Each module has the same three; the safety of the first is that `ptr` came
/// from `System` and has not been freed, and its answer is `None` where there is no way to say.
#[allow(dead_code)] // on jemalloc as `malloc`
mod libc {
    use crate::{Error, Stats};

    cfg_if::cfg_if! {
        // Miri has none of these functions.
        if #[cfg(all(any(target_os = "linux", target_os = "android", target_os = "freebsd"), not(miri)))] {
            // https://man7.org/linux/man-pages/man3/malloc_usable_size.3.html, FreeBSD malloc_usable_size(3). glibc's page
            // advises against the use of the bytes beyond what was asked for, because a compiler that knows the size may
            // fortify calls with it; from Rust it knows none, and glibc's `realloc` copies the whole usable size.
            extern "C" {
                fn malloc_usable_size(ptr: *const u8) -> usize;
            }

            #[inline]
            pub unsafe fn usable_size(ptr: *const u8) -> Option<usize> {
                // SAFETY: the caller's promise.
                Some(unsafe { malloc_usable_size(ptr) })
            }
        } else if #[cfg(all(target_vendor = "apple", not(miri)))] {
            // malloc_size(3); zero for memory that belongs to no zone.
            extern "C" {
                fn malloc_size(ptr: *const u8) -> usize;
            }

            #[inline]
            pub unsafe fn usable_size(ptr: *const u8) -> Option<usize> {
                // SAFETY: the function takes any pointer.
                Some(unsafe { malloc_size(ptr) })
            }
        } else {
            // Windows has `HeapSize`, but `System` moves over-aligned blocks within theirs; the others have nothing.
            #[inline]
            pub unsafe fn usable_size(_ptr: *const u8) -> Option<usize> {
                None
            }
        }
    }

    cfg_if::cfg_if! {
        if #[cfg(all(target_os = "linux", target_env = "gnu", not(miri)))] {
            use core::ffi::{c_char, c_int, c_void};
            use core::{mem, ptr};

            // https://man7.org/linux/man-pages/man3/mallinfo.3.html
            #[repr(C)]
            struct Mallinfo2 {
                arena: usize,
                ordblks: usize,
                smblks: usize,
                hblks: usize,
                hblkhd: usize,
                usmblks: usize,
                fsmblks: usize,
                uordblks: usize,
                fordblks: usize,
                keepcost: usize,
            }

            extern "C" {
                fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
                fn malloc_trim(pad: usize) -> c_int;
            }

            #[inline]
            pub fn stats() -> Option<Stats> {
                // Rust programs start on glibc 2.17 and the function came with 2.33: asked for by name, not linked.
                // SAFETY: the null handle is `RTLD_DEFAULT`.
                let mallinfo2 = unsafe { dlsym(ptr::null_mut(), c"mallinfo2".as_ptr()) };
                if mallinfo2.is_null() {
                    return None;
                }
                // SAFETY: this is its signature.
                let mallinfo2: unsafe extern "C" fn() -> Mallinfo2 = unsafe { mem::transmute(mallinfo2) };
                // SAFETY: it takes nothing and locks what it reads.
                let info = unsafe { mallinfo2() };
                Some(Stats {
                    allocated: Some(info.uordblks + info.hblkhd),
                    mapped: Some(info.arena + info.hblkhd),
                    ..Stats::default()
                })
            }

            #[inline]
            pub fn purge() -> Result<(), Error> {
                // SAFETY: the function may be called at any time. It answers 0 if there was nothing to give back.
                let _ = unsafe { malloc_trim(0) };
                Ok(())
            }
        } else if #[cfg(all(target_vendor = "apple", not(miri)))] {
            use core::ffi::{c_uint, c_void};
            use core::ptr;

            // malloc/malloc.h; a null zone stands for all of them.
            #[repr(C)]
            #[derive(Default)]
            struct MallocStatistics {
                blocks_in_use: c_uint,
                size_in_use: usize,
                max_size_in_use: usize,
                size_allocated: usize,
            }

            extern "C" {
                fn malloc_zone_statistics(zone: *mut c_void, stats: *mut MallocStatistics);
                fn malloc_zone_pressure_relief(zone: *mut c_void, goal: usize) -> usize;
            }

            #[inline]
            pub fn stats() -> Option<Stats> {
                let mut statistics = MallocStatistics::default();
                // SAFETY: the function fills the struct.
                unsafe { malloc_zone_statistics(ptr::null_mut(), &mut statistics) };
                Some(Stats {
                    allocated: Some(statistics.size_in_use),
                    mapped: Some(statistics.size_allocated),
                    ..Stats::default()
                })
            }

            #[inline]
            pub fn purge() -> Result<(), Error> {
                // SAFETY: the function may be called at any time. The goal 0 is as much as possible.
                let _ = unsafe { malloc_zone_pressure_relief(ptr::null_mut(), 0) };
                Ok(())
            }
        } else {
            #[inline]
            pub fn stats() -> Option<Stats> {
                None
            }

            #[inline]
            pub fn purge() -> Result<(), Error> {
                Err(Error::System)
            }
        }
    }
}
