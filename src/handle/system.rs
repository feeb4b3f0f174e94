//! The handle of the system allocator: the C library's functions, one module for each platform.
//! What is missing falls back to [`Handle`]'s defaults.

use super::self_check::SelfCheckError;
use super::{Error, Handle};
use crate::chosen::{Answer, Choice, Chosen, SYSTEM};

type System<const REASON: u8, T> = Chosen<Answer<SYSTEM, REASON, T>>;

/// An error if the process locks each page that it maps, so that the kernel keeps it. To find out,
/// a page is mapped, and the kernel is asked to forget what is in it.
#[allow(dead_code)] // where nothing can be purged
#[inline]
pub(super) fn check_locked() -> Result<(), Error> {
    #[cfg(target_os = "linux")]
    // SAFETY: the mapping is a new one, which nobody else knows, and is gone before this returns.
    unsafe {
        const LEN: usize = 1; // the kernel rounds up
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let page = libc::mmap(std::ptr::null_mut(), LEN, libc::PROT_NONE, flags, -1, 0);
        if page == libc::MAP_FAILED {
            // EAGAIN: it would be locked, and the process may lock no more.
            let errno = std::io::Error::last_os_error().raw_os_error();
            return if errno == Some(libc::EAGAIN) { Err(Error::Locked) } else { Ok(()) };
        }
        let is_kept = libc::madvise(page, LEN, libc::MADV_DONTNEED) != 0;
        libc::munmap(page, LEN);
        if is_kept {
            return Err(Error::Locked);
        }
    }
    Ok(())
}

// Where `malloc` is jemalloc's, these functions say nothing of it, and glibc's cannot be linked
// statically beside it. Miri has none of them.
cfg_if::cfg_if! {
    if #[cfg(all(target_os = "linux", target_env = "gnu", not(any(miri, alloc_switch_malloc))))] {
        mod glibc {
            use std::hint::black_box;
            use std::{fmt, io};

            use super::*;
            use crate::handle::{self_check, ReportFormat, Stats};

            impl<const REASON: u8, T: Sync> Handle for System<REASON, T> {
                #[inline]
                fn choice(&self) -> Choice {
                    Self::CHOICE
                }

                #[inline]
                fn self_check(&self) -> Result<(), SelfCheckError> {
                    self_check::of_system(Self::CHOICE, || self.stats()?.allocated)
                }

                #[inline]
                fn stats(&self) -> Option<Stats> {
                    let info = counters().ok()??;
                    // A replacement may have a `mallinfo2` of its own, with any numbers.
                    Some(Stats {
                        allocated: info.uordblks.checked_add(info.hblkhd),
                        mapped: info.arena.checked_add(info.hblkhd),
                        ..Stats::default()
                    })
                }

                #[inline]
                fn report(
                    &self,
                    out: &mut dyn fmt::Write,
                    format: ReportFormat,
                ) -> Result<(), Error> {
                    let text = match (format, counters()?) {
                        (ReportFormat::Text, _) => malloc_info()?,
                        (ReportFormat::Json, Some(info)) => json(info),
                        (ReportFormat::Json, None) => return Err(Error::Unsupported),
                    };
                    out.write_str(&text).map_err(|_| Error::Io(io::ErrorKind::Other))
                }

                #[inline]
                fn purge(&self) -> Result<(), Error> {
                    counters()?;
                    // SAFETY: the function may be called at any time. It answers 0 if there was
                    // nothing to return.
                    let _ = unsafe { libc::malloc_trim(0) };
                    check_locked()
                }
            }

            /// glibc's counters. An error if they count nothing, because `malloc` was replaced (by
            /// a sanitizer, valgrind, or LD_PRELOAD); `None` if glibc does not have them.
            #[inline]
            fn counters() -> Result<Option<libc::mallinfo2>, Error> {
                // Rust programs start on glibc 2.17 and the function came with 2.33, so it is
                // looked up by name, not linked. A static program does not have it.
                // SAFETY: the name is a C string.
                let mallinfo2 = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"mallinfo2".as_ptr()) };
                if mallinfo2.is_null() {
                    return Ok(None);
                }
                type Mallinfo2 = unsafe extern "C" fn() -> libc::mallinfo2;
                // SAFETY: this is the function's signature. It takes nothing, and locks what it
                // reads. The block, which may be null, is freed once.
                let info = unsafe {
                    let mallinfo2 = std::mem::transmute::<*mut libc::c_void, Mallinfo2>(mallinfo2);
                    let block = black_box(libc::malloc(1)); // so that there is something to count
                    let info = mallinfo2();
                    libc::free(block);
                    info
                };
                match (info.arena, info.hblkhd) {
                    (0, 0) => Err(Error::Unsupported),
                    _ => Ok(Some(info)),
                }
            }

            fn json(it: libc::mallinfo2) -> String {
                format!(
                    "{{\"mallinfo2\":{{\"arena\":{},\"ordblks\":{},\"smblks\":{},\"hblks\":{},\
                     \"hblkhd\":{},\"fsmblks\":{},\"uordblks\":{},\"fordblks\":{},\
                     \"keepcost\":{}}}}}\n",
                    it.arena, it.ordblks, it.smblks, it.hblks, it.hblkhd, it.fsmblks, it.uordblks,
                    it.fordblks, it.keepcost,
                )
            }

            /// What `malloc_info` writes, by way of a stream in memory.
            fn malloc_info() -> Result<String, Error> {
                let (mut text, mut len) = (std::ptr::null_mut(), 0);
                // SAFETY: both variables outlive the stream. Once it is closed they tell of a
                // buffer of that length, which is freed once.
                unsafe {
                    let stream = libc::open_memstream(&mut text, &mut len);
                    if stream.is_null()
                        || [libc::malloc_info(0, stream), libc::fclose(stream)] != [0, 0]
                    {
                        libc::free(text.cast());
                        return Err(Error::Io(io::ErrorKind::OutOfMemory));
                    }
                    let bytes = std::slice::from_raw_parts(text.cast::<u8>(), len);
                    let report = String::from_utf8_lossy(bytes).into_owned();
                    libc::free(text.cast());
                    Ok(report)
                }
            }
        }
    } else if #[cfg(all(target_vendor = "apple", not(any(miri, alloc_switch_malloc))))] {
        mod apple {
            use super::*;
            use crate::handle::{self_check, Stats};

            extern "C" {
                // malloc/malloc.h; not in libc
                fn malloc_zone_pressure_relief(
                    zone: *mut libc::malloc_zone_t,
                    goal: usize,
                ) -> usize;
            }

            impl<const REASON: u8, T: Sync> Handle for System<REASON, T> {
                #[inline]
                fn choice(&self) -> Choice {
                    Self::CHOICE
                }

                #[inline]
                fn self_check(&self) -> Result<(), SelfCheckError> {
                    self_check::of_system(Self::CHOICE, || self.stats()?.allocated)
                }

                #[inline]
                fn stats(&self) -> Option<Stats> {
                    // SAFETY: all fields are numbers, of which zero is one; the function fills the
                    // struct, and a null zone stands for all of them.
                    let statistics = unsafe {
                        let mut statistics: libc::malloc_statistics_t = std::mem::zeroed();
                        libc::malloc_zone_statistics(std::ptr::null_mut(), &mut statistics);
                        statistics
                    };
                    Some(Stats {
                        allocated: Some(statistics.size_in_use),
                        mapped: Some(statistics.size_allocated),
                        ..Stats::default()
                    })
                }

                #[inline]
                fn purge(&self) -> Result<(), Error> {
                    // SAFETY: the function may be called at any time. A null zone stands for all of
                    // them, and the goal 0 for as much as possible.
                    let _ = unsafe { malloc_zone_pressure_relief(std::ptr::null_mut(), 0) };
                    Ok(())
                }
            }
        }
    } else {
        impl<const REASON: u8, T: Sync> Handle for System<REASON, T> {
            #[inline]
            fn choice(&self) -> Choice {
                Self::CHOICE
            }

            #[inline]
            fn self_check(&self) -> Result<(), SelfCheckError> {
                match cfg!(alloc_switch_malloc) {
                    true => Err(SelfCheckError::Artifact(Self::CHOICE)), // it is jemalloc's memory
                    false => Ok(()),
                }
            }
        }
    }
}
