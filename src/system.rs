//! The C library, by platform. What it cannot do, it is not asked: `Handle` has those answers.

#![cfg_attr(alloc_switch_malloc, allow(dead_code))] // jemalloc answers then

use std::alloc::Layout;
use std::fmt;
use std::hint::black_box;
use std::ptr::NonNull;

use crate::handle::{Error, ReportForm, Stats};

/// See [`InPlaceAlloc`](crate::InPlaceAlloc).
///
/// # Safety
///
/// `ptr` is a block of `System`'s with this layout.
#[inline]
pub(crate) unsafe fn usable_size(ptr: *mut u8, layout: Layout) -> usize {
    // SAFETY: the caller's promise. `System` takes its blocks from `malloc` and its kin here.
    unsafe { platform::usable_size(ptr) }.map_or(layout.size(), |size| size.max(layout.size()))
}

/// See [`InPlaceAlloc`](crate::InPlaceAlloc). `free` does not look at a block's size, and `realloc`
/// copies the whole of what is usable.
///
/// # Safety
///
/// `ptr` is a block of `System`'s with this layout.
#[inline]
pub(crate) unsafe fn reallocate_inplace(
    ptr: *mut u8,
    layout: Layout,
    new_size: usize,
) -> Option<NonNull<u8>> {
    // SAFETY: the caller's promise.
    let room = unsafe { usable_size(ptr, layout) };
    // The compiler has seen the size in the call of `malloc`, and must not connect the two.
    NonNull::new(black_box(ptr)).filter(|_| (layout.size()..=room).contains(&new_size))
}

/// How many bytes the C library has handed out to the whole process.
#[inline]
pub(crate) fn allocated() -> Option<usize> {
    stats()?.allocated
}

#[inline]
pub(crate) fn stats() -> Option<Stats> {
    platform::stats()
}

#[inline]
pub(crate) fn report(out: &mut dyn fmt::Write, form: ReportForm) -> Result<(), Error> {
    platform::report(out, form)
}

#[inline]
pub(crate) fn purge() -> Result<(), Error> {
    platform::purge()
}

/// Whether the runtime of a sanitizer is in the process.
#[inline]
pub(crate) fn has_sanitizer() -> bool {
    cfg_if::cfg_if! {
        if #[cfg(all(
            target_os = "linux",
            any(target_arch = "x86_64", target_arch = "aarch64"),
            not(any(miri, kani))
        ))] {
            /// Where the linker has put a function, or null. rustc links the runtimes statically
            /// and exports nothing, so that only a weak reference finds them.
            macro_rules! address_of {
                ($function:literal) => {{
                    let address: *const u8;
                    // SAFETY: this reads the symbol's entry in the global offset table.
                    unsafe {
                        #[cfg(target_arch = "x86_64")]
                        std::arch::asm!(
                            concat!(".weak ", $function),
                            concat!("mov {0}, qword ptr [rip + ", $function, "@GOTPCREL]"),
                            out(reg) address,
                            options(pure, nomem, nostack, preserves_flags),
                        );
                        #[cfg(target_arch = "aarch64")]
                        std::arch::asm!(
                            concat!(".weak ", $function),
                            concat!("adrp {0}, :got:", $function),
                            concat!("ldr {0}, [{0}, :got_lo12:", $function, "]"),
                            out(reg) address,
                            options(pure, nomem, nostack, preserves_flags),
                        );
                    }
                    address
                }};
            }
            [
                address_of!("__asan_init"),
                address_of!("__hwasan_init"),
                address_of!("__lsan_init"),
                address_of!("__msan_init"),
                address_of!("__tsan_init"),
            ]
            .into_iter()
            .any(|address| !address.is_null())
        } else if #[cfg(all(unix, not(any(miri, kani))))] {
            [c"__asan_init", c"__hwasan_init", c"__lsan_init", c"__msan_init", c"__tsan_init"]
                .into_iter()
                // SAFETY: the name is a C string, and the answer is only compared.
                .any(|name| !unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }.is_null())
        } else {
            false
        }
    }
}

cfg_if::cfg_if! {
    // Miri has none of these functions.
    if #[cfg(all(target_os = "linux", target_env = "gnu", not(miri)))] {
        /// glibc
        mod platform {
            use super::*;

            #[inline]
            pub unsafe fn usable_size(ptr: *mut u8) -> Option<usize> {
                // SAFETY: the caller's promise.
                Some(unsafe { libc::malloc_usable_size(ptr.cast()) })
            }

            #[inline]
            fn mallinfo2() -> Option<libc::mallinfo2> {
                // Rust programs start on glibc 2.17 and the function came with 2.33: it is asked
                // for by name, not linked.
                // SAFETY: the name is a C string.
                let mallinfo2 = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"mallinfo2".as_ptr()) };
                if mallinfo2.is_null() {
                    return None;
                }
                type Mallinfo2 = unsafe extern "C" fn() -> libc::mallinfo2;
                // SAFETY: this is its signature.
                let mallinfo2 =
                    unsafe { std::mem::transmute::<*mut libc::c_void, Mallinfo2>(mallinfo2) };
                // SAFETY: it takes nothing and locks what it reads.
                let info = unsafe { mallinfo2() };
                // All is zero where somebody has replaced `malloc`, and this is nobody's business.
                (info.arena + info.hblkhd > 0).then_some(info)
            }

            #[inline]
            pub fn stats() -> Option<Stats> {
                let info = mallinfo2()?;
                Some(Stats {
                    allocated: Some(info.uordblks + info.hblkhd),
                    mapped: Some(info.arena + info.hblkhd),
                    ..Stats::default()
                })
            }

            pub fn report(out: &mut dyn fmt::Write, form: ReportForm) -> Result<(), Error> {
                let info = mallinfo2();
                let text = match (form, info) {
                    // Before 2.33 there is this report, and no number to say whether it is true.
                    (ReportForm::Text, _) => malloc_info()?,
                    (ReportForm::Json, None) => return Err(Error::Unsupported),
                    (ReportForm::Json, Some(info)) => format!(
                        "{{\"mallinfo2\":{{\"arena\":{},\"ordblks\":{},\"smblks\":{},\
                         \"hblks\":{},\"hblkhd\":{},\"fsmblks\":{},\"uordblks\":{},\
                         \"fordblks\":{},\"keepcost\":{}}}}}\n",
                        info.arena,
                        info.ordblks,
                        info.smblks,
                        info.hblks,
                        info.hblkhd,
                        info.fsmblks,
                        info.uordblks,
                        info.fordblks,
                        info.keepcost,
                    ),
                };
                out.write_str(&text).map_err(|_| Error::Io(std::io::ErrorKind::Other))
            }

            /// What `malloc_info` writes, by way of a stream in memory.
            fn malloc_info() -> Result<String, Error> {
                let (mut text, mut len) = (std::ptr::null_mut(), 0);
                let failed = || Error::Io(std::io::Error::last_os_error().kind());
                // SAFETY: both variables outlive the stream; once it is closed they tell of a
                // buffer of that length, which is freed as the manual asks.
                unsafe {
                    let stream = libc::open_memstream(&mut text, &mut len);
                    if stream.is_null() {
                        return Err(failed());
                    }
                    let written = libc::malloc_info(0, stream);
                    let closed = libc::fclose(stream);
                    let report = match (written, closed) {
                        (0, 0) => {
                            let bytes = std::slice::from_raw_parts(text.cast::<u8>(), len);
                            Ok(String::from_utf8_lossy(bytes).into_owned())
                        }
                        _ => Err(failed()),
                    };
                    libc::free(text.cast());
                    report
                }
            }

            #[inline]
            pub fn purge() -> Result<(), Error> {
                // SAFETY: the function may be called at any time. It answers 0 if there was nothing
                // to give back.
                let _ = unsafe { libc::malloc_trim(0) };
                Ok(())
            }
        }
    } else if #[cfg(all(target_vendor = "apple", not(miri)))] {
        mod platform {
            use super::*;

            extern "C" {
                // malloc/malloc.h; not in libc.
                fn malloc_zone_pressure_relief(
                    zone: *mut libc::malloc_zone_t,
                    goal: usize,
                ) -> usize;
            }

            #[inline]
            pub unsafe fn usable_size(ptr: *mut u8) -> Option<usize> {
                // SAFETY: the caller's promise.
                Some(unsafe { libc::malloc_size(ptr.cast()) })
            }

            #[inline]
            pub fn stats() -> Option<Stats> {
                // SAFETY: all its fields are numbers.
                let mut statistics: libc::malloc_statistics_t = unsafe { std::mem::zeroed() };
                // SAFETY: the function fills the struct; a null zone stands for all of them.
                unsafe { libc::malloc_zone_statistics(std::ptr::null_mut(), &mut statistics) };
                Some(Stats {
                    allocated: Some(statistics.size_in_use),
                    mapped: Some(statistics.size_allocated),
                    ..Stats::default()
                })
            }

            #[inline]
            pub fn report(_out: &mut dyn fmt::Write, _form: ReportForm) -> Result<(), Error> {
                Err(Error::Unsupported)
            }

            #[inline]
            pub fn purge() -> Result<(), Error> {
                // SAFETY: the function may be called at any time. The goal 0 is as much as
                // possible.
                let _ = unsafe { malloc_zone_pressure_relief(std::ptr::null_mut(), 0) };
                Ok(())
            }
        }
    } else {
        mod platform {
            use super::*;

            #[cfg(all(
                any(target_os = "linux", target_os = "android", target_os = "freebsd"),
                not(miri)
            ))]
            #[inline]
            pub unsafe fn usable_size(ptr: *mut u8) -> Option<usize> {
                #[cfg(not(target_os = "freebsd"))]
                use libc::malloc_usable_size;
                #[cfg(target_os = "freebsd")] // not in libc
                extern "C" {
                    fn malloc_usable_size(ptr: *mut libc::c_void) -> usize;
                }
                // SAFETY: the caller's promise.
                Some(unsafe { malloc_usable_size(ptr.cast()) })
            }

            /// Windows has `HeapSize`, but `System` moves over-aligned blocks within theirs; the
            /// others have nothing.
            #[cfg(not(all(
                any(target_os = "linux", target_os = "android", target_os = "freebsd"),
                not(miri)
            )))]
            #[inline]
            pub unsafe fn usable_size(_ptr: *mut u8) -> Option<usize> {
                None
            }

            #[inline]
            pub fn stats() -> Option<Stats> {
                None
            }

            #[inline]
            pub fn report(_out: &mut dyn fmt::Write, _form: ReportForm) -> Result<(), Error> {
                Err(Error::Unsupported)
            }

            #[inline]
            pub fn purge() -> Result<(), Error> {
                Err(Error::Unsupported)
            }
        }
    }
}
