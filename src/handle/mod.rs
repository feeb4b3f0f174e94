//! What an allocator in use can do beyond allocating: the trait [`Handle`], which every [`Chosen`]
//! implements. A layer on top of the core, behind the feature `handle`.
//!
//! Each module implements the trait for one allocator. Everything is generic over the reason or
//! `#[inline]`, so that a reference to jemalloc is compiled into an artifact that uses jemalloc,
//! and never into this crate's own object file.

#[cfg(alloc_switch_jemalloc)]
mod jemalloc;
mod self_check;
mod system;

use std::path::Path;
use std::{fmt, io};

pub use self_check::SelfCheckError;

use crate::chosen::{Answer, Choice, Chosen, CUSTOM, FALLBACK};
use crate::conf::ENVIRONMENT;

/// An allocator in use, without its type: a metrics or administration crate in the middle of a
/// graph takes a `&'static dyn Handle`.
///
/// [`Chosen`] implements it on every allocator, so that one source compiles on every target.
/// Unsupported operations return `None` or [`Error::Unsupported`]; so do the default methods, which
/// are all that a [fallback or custom allocator](crate::global_allocator!) has beside
/// [`self_check`](Self::self_check). An allocator of one's own may implement the trait too.
/// Functions may be added, each with a default.
///
/// ```
/// use alloc_switch::Handle;
///
/// // in a library
/// fn line(allocator: &'static dyn Handle) -> String {
///     match allocator.stats().and_then(|stats| stats.allocated) {
///         Some(bytes) => format!("{}: {bytes} bytes", allocator.choice()),
///         None => allocator.choice().to_string(),
///     }
/// }
///
/// // in the program that owns the static
/// # mod program {
/// alloc_switch::global_allocator!(pub static ALLOCATOR);
/// # }
/// # use program::ALLOCATOR;
///
/// println!("{}", line(&ALLOCATOR));
/// ```
///
/// With the feature `override-malloc`, `malloc` itself is jemalloc's. Where the choice is the
/// system allocator nevertheless, [`self_check`](Self::self_check) says so, and nothing else is
/// supported: the C library counts nothing, and jemalloc was not chosen.
///
/// In a program with thousands of arenas (`narenas:4000`) the functions that ask jemalloc need 64
/// KiB of the calling thread's stack. All may be called in a child after `fork`, but for profiles:
/// a temporary file takes a lock of the standard library's, and libunwind one of the loader's,
/// which another thread of the parent may have held.
pub trait Handle: Sync {
    /// The decision and its reason.
    fn choice(&self) -> Choice;

    /// Asks the running process, not the constants, whether the choice holds: does memory that this
    /// artifact allocates, and memory that the standard library allocates in its own compiled code,
    /// come from the chosen allocator, and is no sanitizer's runtime in the process that would miss
    /// it?
    ///
    /// It allocates a few blocks of at most 1 MiB, looks whether the allocator has counted them,
    /// and frees them. It asks no allocator about an address, so it is safe whatever is registered.
    ///
    /// * jemalloc: the calling thread's counter (`thread.allocated`), which is exact.
    /// * System: the counters of glibc 2.33 and later (`mallinfo2`) or macOS
    ///   (`malloc_zone_statistics`). They are the whole process's, and other threads allocate
    ///   meanwhile. A block is tried up to 48 times; that it was counted once is enough. Threads
    ///   that do little but call `malloc` can hide a mistake from it, and keep it waiting for
    ///   `malloc`'s lock for seconds.
    /// * Elsewhere, where glibc is linked statically or `malloc` was replaced, and where no block is
    ///   to be had, the check cannot run and returns `Ok`.
    /// * A wrapper around either that keeps freed blocks, or asks for twice the size, looks like
    ///   another allocator, and one that takes blocks of 64 KiB and more from the system allocator
    ///   looks like that.
    /// * A fallback or custom allocator: only the sanitizer is looked for.
    ///
    /// It does not look for [background threads](Self::background_threads): jemalloc tells whether
    /// it has any only by restarting them, and a check must not do that.
    ///
    /// # Errors
    ///
    /// [`SelfCheckError`] says what does not hold, and what to do. A few bytes leak if it is
    /// [`SelfCheckError::Std`].
    fn self_check(&self) -> Result<(), SelfCheckError> {
        Ok(())
    }

    /// What the allocator holds for the whole process at this moment, in bytes.
    ///
    /// * jemalloc: `stats.*`, after `epoch` has refreshed them, which takes the locks of every
    ///   arena: call it once a second, not once per request. `None` without the feature `stats`.
    /// * System: `allocated` and `mapped`, from glibc 2.33 and later (`mallinfo2`) or macOS
    ///   (`malloc_zone_statistics`).
    /// * `None` elsewhere, in a program that links glibc statically, and where `malloc` was
    ///   replaced.
    fn stats(&self) -> Option<Stats> {
        None
    }

    /// How many bytes the calling thread has been given and has given back since it started. The
    /// difference of two answers is what the code in between has allocated.
    ///
    /// jemalloc: `thread.allocated` and `thread.deallocated`; needs no feature, takes no lock, and
    /// costs two look-ups by name, some hundred nanoseconds. `None` on other allocators.
    fn thread_stats(&self) -> Option<ThreadStats> {
        None
    }

    /// Writes the allocator's own report.
    ///
    /// * jemalloc: `malloc_stats_print`. As JSON it also has the options in effect, in
    ///   `jemalloc.opt`. It says most with the feature `stats`.
    /// * System on glibc: as text the XML of `malloc_info`, as JSON the numbers of `mallinfo2`.
    ///
    /// A panic of `out` is passed on.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] on other allocators, where `malloc` was replaced, and for JSON where
    /// glibc is older than 2.33 or linked statically; [`Error::Io`] if `out` fails.
    fn report(&self, out: &mut dyn fmt::Write, format: ReportFormat) -> Result<(), Error> {
        let _ = (out, format);
        Err(Error::Unsupported)
    }

    /// Returns memory that the program has freed to the operating system, at once. It takes locks
    /// and costs page faults later: call it after a peak, not in a loop.
    ///
    /// * jemalloc: `thread.tcache.flush` for the calling thread, then
    ///   `arena.<MALLCTL_ARENAS_ALL>.purge`. What other threads have cached stays.
    /// * System: `malloc_trim` on glibc, `malloc_zone_pressure_relief` on macOS.
    ///
    /// `Ok` does not say how much memory went back. The kernel keeps pages that were locked one by
    /// one (`mlock`), and where `mlockall(MCL_CURRENT)` locked what was there.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] on other allocators, and on the system allocator where `malloc` was
    /// replaced; [`Error::Locked`] on Linux where every page is locked when it is mapped
    /// (`mlockall(MCL_FUTURE)`), so that the kernel keeps it.
    fn purge(&self) -> Result<(), Error> {
        Err(Error::Unsupported)
    }

    /// Starts or stops jemalloc's background threads, which return unused memory to the operating
    /// system while the program is idle. Without them the thread that allocates or frees next does
    /// that. jemalloc: `background_thread`.
    ///
    /// jemalloc takes threads that it could not make for made and leaves its work to them, so that
    /// memory never goes back: in a program that starts with `background_thread:true`, too. So
    /// `true` stops threads that are there and starts them again, to find out whether there are
    /// any. If there are none, they are off afterwards. Later, jemalloc makes one thread more for
    /// every processor; that one of those could not be made is only said on its standard error.
    ///
    /// Threads do not survive `fork`. In the child they are off, and can be started again.
    ///
    /// # Errors
    ///
    /// [`Error::NoThread`] if no thread could be made; [`Error::UnsupportedTarget`] on Apple, where
    /// jemalloc has no such threads, and on musl, where they are known not to work;
    /// [`Error::Unsupported`] on other allocators.
    fn background_threads(&self, on: bool) -> Result<(), Error> {
        let _ = on;
        Err(Error::Unsupported)
    }

    /// Whether allocations are being sampled for a heap profile. jemalloc: `prof.active`. `false`
    /// on other allocators.
    fn is_profiling(&self) -> bool {
        false
    }

    /// Starts to sample allocations for a heap profile. jemalloc: `prof.active`.
    ///
    /// This takes the feature `profiling`, and a program that starts with `prof:true`:
    /// [`conf::PROFILING_ARMED`](crate::conf::PROFILING_ARMED) samples from this call on,
    /// [`conf::PROFILING`](crate::conf::PROFILING) from the start.
    ///
    /// # Errors
    ///
    /// [`Error::MissingFeature`] without the feature, [`Error::MissingOption`] without the option,
    /// [`Error::Unsupported`] on other allocators.
    fn start_profile(&self) -> Result<(), Error> {
        Err(Error::Unsupported)
    }

    /// Stops sampling. What was sampled and not yet freed stays in the profile. jemalloc:
    /// `prof.active`.
    ///
    /// # Errors
    ///
    /// Those of [`start_profile`](Self::start_profile).
    fn stop_profile(&self) -> Result<(), Error> {
        Err(Error::Unsupported)
    }

    /// Forgets all samples, and from then on takes one in every 2<sup>`lg_sample`</sup> bytes
    /// allocated, on average; with `None` as often as before. jemalloc: `prof.reset`.
    ///
    /// More than 53 (31 on 32-bit targets) counts as that. Each thread has drawn the distance to
    /// its next sample already: after a rate that samples next to nothing (`lg_sample` of 40 and
    /// more) a running thread may never come to a smaller one.
    ///
    /// # Errors
    ///
    /// Those of [`start_profile`](Self::start_profile).
    fn reset_profile(&self, lg_sample: Option<u32>) -> Result<(), Error> {
        let _ = lg_sample;
        Err(Error::Unsupported)
    }

    /// Writes the heap profile to a file: the sampled blocks that are still held, with the stacks
    /// that allocated them. jemalloc: `prof.dump`.
    ///
    /// It writes as [`std::fs::write`] does: truncates an existing file and follows symlinks. A
    /// profile that could not be written to its end is removed from the file again, which stays.
    ///
    /// # Errors
    ///
    /// Those of [`dump_profile_to`](Self::dump_profile_to); [`Error::Io`] if the file cannot be
    /// written.
    fn dump_profile(&self, path: &Path) -> Result<(), Error> {
        let _ = path;
        Err(Error::Unsupported)
    }

    /// Writes the heap profile, as [`dump_profile`](Self::dump_profile) does, to `out`, and flushes
    /// it.
    ///
    /// jemalloc can only write to a path. On Linux that is a file in memory (`memfd_create`), which
    /// needs `/proc` and no folder; elsewhere, and where that fails, a temporary file in
    /// [`std::env::temp_dir`], for which the feature `profiling` has to be on. Both count against
    /// RLIMIT_FSIZE, beyond which the signal SIGXFSZ ends a process that does not ignore it. What
    /// is loaded where, without which addresses have no names, jemalloc takes from
    /// `/proc/<pid>/maps`, and leaves out without a word if it cannot. jemalloc 5.3.0 does not
    /// notice a write that was cut short.
    ///
    /// # Errors
    ///
    /// Those of [`start_profile`](Self::start_profile); [`Error::NotWritten`] if jemalloc could not
    /// write the profile, or nothing is in it; [`Error::TooManyFiles`] if no descriptor is free;
    /// [`Error::Io`] if there can be no temporary file, or if `out` fails. A jemalloc that was
    /// started with `abort:true`, as the feature `debug` starts it, ends the process where it could
    /// not write.
    fn dump_profile_to(&self, out: &mut dyn io::Write) -> Result<(), Error> {
        let _ = out;
        Err(Error::Unsupported)
    }
}

macro_rules! author {
    ($($allocator:ident)+) => {$(
        impl<const REASON: u8, T: Sync> Handle for Chosen<Answer<$allocator, REASON, T>> {
            #[inline]
            fn choice(&self) -> Choice {
                Self::CHOICE
            }

            #[inline]
            fn self_check(&self) -> Result<(), SelfCheckError> {
                self_check::of_author(Self::CHOICE)
            }
        }
    )+};
}
author!(FALLBACK CUSTOM);

/// What the allocator holds for the whole process, in bytes; see [`Handle::stats`].
///
/// A field is `None` where the allocator does not know it. `allocated` is a part of `active`, which
/// is a part of `mapped` and, with `metadata`, of `resident`. What a purge could return is about
/// `resident - active - metadata`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Bytes in blocks that the program holds. jemalloc: `stats.allocated`. glibc:
    /// `uordblks + hblkhd`, which counts freed blocks in a thread's cache too. macOS:
    /// `size_in_use`.
    pub allocated: Option<usize>,
    /// Bytes in pages with at least one such block. jemalloc: `stats.active`.
    pub active: Option<usize>,
    /// Bytes that the allocator needs for itself. jemalloc: `stats.metadata`.
    pub metadata: Option<usize>,
    /// Bytes in physical memory, unused pages and metadata included; an upper bound, because pages
    /// that were never touched count too. jemalloc: `stats.resident`.
    pub resident: Option<usize>,
    /// Bytes of address space in use. jemalloc: `stats.mapped`. glibc: `arena + hblkhd`. macOS:
    /// `size_allocated`.
    pub mapped: Option<usize>,
    /// Bytes of address space kept for later, with no memory behind them. jemalloc:
    /// `stats.retained`.
    pub retained: Option<usize>,
}

/// How many bytes a thread has been given and has given back since it started; see
/// [`Handle::thread_stats`].
///
/// `deallocated` can exceed `allocated` in a thread that frees what others allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadStats {
    /// Bytes allocated by this thread, usable sizes. jemalloc: `thread.allocated`.
    pub allocated: u64,
    /// Bytes freed by this thread, usable sizes. jemalloc: `thread.deallocated`.
    pub deallocated: u64,
}

/// What [`Handle::report`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReportFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Why a request was not met. `Display` says what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// The allocator in use cannot do this on this target. Its [`choice`](Handle::choice) says why
    /// it is in use.
    Unsupported,
    /// jemalloc cannot do this on this target.
    UnsupportedTarget,
    /// jemalloc was built without this feature of this crate.
    MissingFeature(&'static str),
    /// jemalloc was not started with this option.
    MissingOption(&'static str),
    /// No background thread could be made.
    NoThread,
    /// The process has locked its memory, so that the kernel keeps what was purged.
    Locked,
    /// jemalloc could not write the heap profile.
    NotWritten,
    /// The process, or the system, may open no more files.
    TooManyFiles,
    /// Something else than the allocator failed.
    Io(io::ErrorKind),
    /// jemalloc refused, with this error number.
    Jemalloc(i32),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Error::Unsupported => "the allocator in use cannot do this here: its choice says why",
            Error::UnsupportedTarget => "jemalloc cannot do this on this target",
            Error::MissingFeature(it) => {
                return write!(f, "heap profiling is not compiled in: turn on the feature `{it}`")
            }
            Error::MissingOption(it) => {
                let name = ENVIRONMENT.unwrap_or("MALLOC_CONF");
                write!(f, "heap profiling is off: set `conf = \"{it}\"`, or ")?;
                return write!(f, "start the program with {name}={it}");
            }
            Error::NoThread => {
                "no background thread could be made: see ulimit -u, -v, -s, pids.max"
            }
            Error::Locked => "the kernel keeps what was purged: memory is locked (mlockall)",
            Error::NotWritten => "jemalloc could not write the heap profile: is there room for it?",
            Error::TooManyFiles => "the process, or the system, may open no more files (ulimit -n)",
            Error::Io(kind) => return kind.fmt(f),
            Error::Jemalloc(errno) => return write!(f, "jemalloc refused with error {errno}"),
        };
        f.write_str(text)
    }
}

impl std::error::Error for Error {}
