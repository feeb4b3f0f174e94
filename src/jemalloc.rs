//! What the handle does on jemalloc. Every function is `#[inline]`, so that it is compiled into an artifact that calls it
//! and into no other: a reference to jemalloc in this crate's own object file would drag it into System artifacts.

use core::alloc::Layout;
use core::cell::Cell;
use core::ffi::{c_char, c_int, c_uint, CStr};
use core::mem::{size_of, MaybeUninit};
use core::ptr;
use std::path::Path;

use tikv_jemalloc_sys as ffi;
use tikv_jemallocator::Jemalloc;

use crate::switch::Backend;
use crate::{Error, InPlaceAlloc, Stats, ThreadStats};

// SAFETY: a block fits, in jemalloc's own terms, every size from the one asked for to the usable size, which is what
// `sdallocx` requires: https://jemalloc.net/jemalloc.3.html. `xallocx` moves nothing.
unsafe impl InPlaceAlloc for Jemalloc {
    #[inline]
    unsafe fn usable_size(&self, ptr: *mut u8, _layout: Layout) -> usize {
        // SAFETY: the caller's promise.
        unsafe { usable_size(ptr) }
    }

    #[inline]
    unsafe fn reallocate_inplace(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> usize {
        // SAFETY: the caller's promise. The alignment only has `xallocx` check the address, which is aligned.
        unsafe { ffi::xallocx(ptr.cast(), new_size, 0, ffi::MALLOCX_ALIGN(layout.align())) }
    }
}

impl Backend for Jemalloc {
    #[inline]
    fn owns(ptr: *const u8) -> bool {
        owns(ptr)
    }

    #[inline]
    fn stats() -> Option<Stats> {
        stats()
    }

    #[inline]
    fn thread_stats() -> Option<ThreadStats> {
        thread_stats()
    }

    #[inline]
    fn purge() -> Result<(), Error> {
        purge()
    }

    #[inline]
    fn background_threads(on: bool) -> Result<(), Error> {
        if cfg!(target_env = "musl") {
            return Err(Error::Target); // tikv-jemalloc-sys: NO_BG_THREAD_TARGETS
        }
        // SAFETY: the key takes a `bool`.
        unsafe { write(c"background_thread", on) }.map_err(|error| match error {
            Error::Jemalloc(ENOENT) => Error::Target,
            other => other,
        })
    }

    #[inline]
    fn sample(on: bool) -> Result<(), Error> {
        profiling_is_on()?;
        // SAFETY: the key takes a `bool`.
        unsafe { write(c"prof.active", on) }
    }

    #[inline]
    fn dump(path: &Path) -> Result<(), Error> {
        profiling_is_on()?;
        let path = path.as_os_str().as_encoded_bytes();
        let mut bytes = [0; 4096]; // with a NUL after the path
        if path.len() >= bytes.len() {
            return Err(Error::Path);
        }
        bytes[..path.len()].copy_from_slice(path);
        let path = CStr::from_bytes_with_nul(&bytes[..=path.len()]).map_err(|_| Error::Path)?;
        // SAFETY: the key takes a C string, which it only reads during the call.
        unsafe { write(c"prof.dump", path.as_ptr()) }
    }
}

/// The usable size of the block at `ptr`, in bytes.
///
/// # Safety
///
/// `ptr` is a block of jemalloc's.
#[inline]
pub(crate) unsafe fn usable_size(ptr: *mut u8) -> usize {
    // SAFETY: the caller's promise.
    unsafe { ffi::sallocx(ptr.cast(), 0) }
}

/// `arenas.lookup`: whether jemalloc knows the address. It may be any address at all.
#[inline]
pub(crate) fn owns(ptr: *const u8) -> bool {
    let (mut arena, mut ptr): (c_uint, _) = (0, ptr);
    // SAFETY: the key takes a pointer, which it does not follow, and answers with an `unsigned`.
    unsafe { mallctl(c"arenas.lookup", Some(&mut arena), Some(&mut ptr)) }.is_ok()
}

/// `stats.*`, if jemalloc was built to count.
#[inline]
pub(crate) fn stats() -> Option<Stats> {
    // SAFETY: the key takes a `uint64_t`; any value refreshes what the others read. Those are `size_t`.
    unsafe {
        write(c"epoch", 1_u64).ok()?;
        Some(Stats {
            allocated: Some(read(c"stats.allocated").ok()?),
            active: Some(read(c"stats.active").ok()?),
            resident: Some(read(c"stats.resident").ok()?),
            mapped: Some(read(c"stats.mapped").ok()?),
            retained: Some(read(c"stats.retained").ok()?),
        })
    }
}

std::thread_local! {
    /// Where jemalloc counts for this thread.
    static COUNTERS: Cell<Option<(*const u64, *const u64)>> = const { Cell::new(None) };
}

#[inline]
pub(crate) fn thread_stats() -> Option<ThreadStats> {
    // On Apple jemalloc keeps its thread data in memory that it frees before the thread has ended.
    let known = if cfg!(target_vendor = "apple") { None } else { COUNTERS.with(Cell::get) };
    let (allocated, deallocated) = match known {
        Some(counters) => counters,
        None => {
            // SAFETY: both keys are pointers to a `uint64_t`.
            let counters =
                unsafe { (read(c"thread.allocatedp").ok()?, read(c"thread.deallocatedp").ok()?) };
            COUNTERS.with(|known| known.set(Some(counters)));
            counters
        }
    };
    // SAFETY: elsewhere both are in this thread's thread-local storage and last as long as the thread. Nobody else writes
    // to them.
    unsafe { Some(ThreadStats { allocated: *allocated, deallocated: *deallocated }) }
}

#[inline]
pub(crate) fn purge() -> Result<(), Error> {
    // SAFETY: neither key takes or gives a value. The first fails in a thread without a cache, which is as well. In the
    // second, 4096 is `MALLCTL_ARENAS_ALL`.
    unsafe {
        let _ = call(c"thread.tcache.flush");
        call(c"arena.4096.purge")
    }
}

/// Whether jemalloc was built and started with heap profiles.
#[inline]
fn profiling_is_on() -> Result<(), Error> {
    // SAFETY: both keys are `bool`.
    let (built, started) = unsafe { (read(c"config.prof")?, read(c"opt.prof").unwrap_or(false)) };
    match (built, started) {
        (false, _) => Err(Error::Feature("profiling")),
        (true, false) => Err(Error::Option("prof:true")),
        (true, true) => Ok(()),
    }
}

/// There is no such key. The same number on every Unix.
const ENOENT: c_int = 2;

/// # Safety
///
/// `T` is the key's type.
#[inline]
unsafe fn read<T>(key: &CStr) -> Result<T, Error> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the caller's promise; a key that answers without an error has written the whole value.
    unsafe {
        mallctl::<_, ()>(key, Some(&mut value), None)?;
        Ok(value.assume_init())
    }
}

/// # Safety
///
/// `T` is the key's type.
#[inline]
unsafe fn write<T>(key: &CStr, mut value: T) -> Result<(), Error> {
    // SAFETY: the caller's promise.
    unsafe { mallctl::<(), _>(key, None, Some(&mut value)) }
}

/// # Safety
///
/// The key has no value.
#[inline]
unsafe fn call(key: &CStr) -> Result<(), Error> {
    // SAFETY: the caller's promise.
    unsafe { mallctl::<(), ()>(key, None, None) }
}

/// Reads a value, writes one, both or neither: <https://jemalloc.net/jemalloc.3.html#mallctl_namespace>.
///
/// # Safety
///
/// `O` and `N` are the types that the key has.
#[inline]
unsafe fn mallctl<O, N>(key: &CStr, old: Option<&mut O>, new: Option<&mut N>) -> Result<(), Error> {
    let mut old_len = size_of::<O>();
    let old_len_ptr = if old.is_some() { ptr::from_mut(&mut old_len) } else { ptr::null_mut() };
    let new_len = if new.is_some() { size_of::<N>() } else { 0 };
    // SAFETY: the key is a C string, and the lengths are the values'. jemalloc checks them against the key.
    let errno = unsafe {
        ffi::mallctl(
            key.as_ptr() as *const c_char,
            old.map_or(ptr::null_mut(), |old| ptr::from_mut(old).cast()),
            old_len_ptr,
            new.map_or(ptr::null_mut(), |new| ptr::from_mut(new).cast()),
            new_len,
        )
    };
    match errno {
        0 => Ok(()),
        _ => Err(Error::Jemalloc(errno)),
    }
}
