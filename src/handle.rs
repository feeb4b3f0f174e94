//! What an allocator in use can do beyond allocating.

use std::path::Path;
use std::{fmt, io};

use crate::choice::Choice;
use crate::conf::ENVIRONMENT;

/// An allocator in use, without its type: what a metrics or administration crate in the middle of a
/// graph takes as `&'static dyn Handle`.
///
/// [`Switch`](crate::Switch) implements it on every allocator, so that one source compiles on every
/// target; what an allocator cannot do, it answers truthfully. The provided functions are the
/// answers of one that can do nothing.
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
/// Where a program has been started with thousands of arenas (`narenas:4000`), whichever function
/// first asks jemalloc, and then [`stats`](Self::stats), [`report`](Self::report),
/// [`purge`](Self::purge) and the controls that refresh or purge, need 64 KiB of the calling
/// thread's stack.
///
/// A custom allocator may implement it too. Functions may be added, each with an answer provided.
pub trait Handle: Sync {
    /// The decision and its reason.
    fn choice(&self) -> Choice;

    /// Asks the running process, not the constants, whether the choice holds: does memory that this
    /// artifact allocates, and memory that the standard library allocates in its own compiled code,
    /// come from the chosen allocator, and is no sanitizer's runtime in the process that would
    /// miss it?
    ///
    /// It allocates a few blocks, looks whether the allocator has counted them, and frees them. On
    /// jemalloc it reads the calling thread's counter (`thread.allocatedp`). On the system
    /// allocator it reads those of glibc 2.33 and later (`mallinfo2`) or macOS
    /// (`malloc_zone_statistics`), with a block of up to 64 MiB that is never touched. Elsewhere,
    /// and where no block is to be had, there is nobody to ask. On a fallback, only the sanitizer
    /// counts. No question is asked about an address, so that whatever is registered, this may be
    /// called from anywhere but an allocator.
    ///
    /// # Errors
    ///
    /// [`SelfCheckError`] says what does not hold, and what to do. If it is the standard library, a
    /// few bytes leak.
    fn self_check(&self) -> Result<(), SelfCheckError> {
        Ok(())
    }

    /// What the allocator holds for the whole process at this moment, in bytes.
    ///
    /// jemalloc answers if this crate's feature `stats` is on, else `None`. Each call refreshes the
    /// numbers (`epoch`), which takes every arena's locks: call it once a second, not once per
    /// request. On the system allocator glibc 2.33 and later (`mallinfo2`) and macOS
    /// (`malloc_zone_statistics`) know `allocated` and `mapped`; elsewhere, in a program that links
    /// glibc statically, and where somebody has replaced `malloc`, the answer is `None`.
    fn stats(&self) -> Option<Stats> {
        None
    }

    /// How many bytes the calling thread has been given and has given back, from its start.
    ///
    /// On jemalloc it costs a pointer read (elsewhere than on Linux and FreeBSD, and where whoever
    /// builds has named a jemalloc, two calls of `mallctl`), and needs no feature. Elsewhere it is
    /// `None`. The difference of two answers is what the code in between has allocated.
    fn thread_stats(&self) -> Option<ThreadStats> {
        None
    }

    /// The options in effect, from wherever they came. jemalloc: `opt.*`. Elsewhere `None`.
    fn options(&self) -> Option<Options> {
        None
    }

    /// Writes the allocator's own report.
    ///
    /// jemalloc: `malloc_stats_print`, which says most with the feature `stats`. glibc: as text the
    /// XML of `malloc_info`, as JSON the numbers of `mallinfo2`.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] on other allocators, and for JSON on glibc where
    /// [`stats`](Self::stats) is `None`; [`Error::Io`] if `out` fails.
    fn report(&self, out: &mut dyn fmt::Write, form: ReportForm) -> Result<(), Error> {
        let _ = (out, form);
        Err(Error::Unsupported)
    }

    /// Returns memory that the program has freed to the operating system, at once.
    ///
    /// jemalloc flushes the calling thread's cache (`thread.tcache.flush`) and purges every arena
    /// (`arena.<MALLCTL_ARENAS_ALL>.purge`); what other threads have cached stays. glibc:
    /// `malloc_trim`. macOS: `malloc_zone_pressure_relief`. It takes locks and costs page faults
    /// later: call it after a peak, not in a loop.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] on other allocators.
    fn purge(&self) -> Result<(), Error> {
        Err(Error::Unsupported)
    }

    /// Starts or stops jemalloc's background threads, which return unused memory while the program
    /// is idle. Without them that is done by whichever thread allocates or frees next. jemalloc:
    /// `background_thread`.
    ///
    /// Threads do not survive `fork`. In the child jemalloc sets the option to off and does the
    /// work in the child's own threads; nothing hangs and nothing is lost. A child that wants the
    /// threads back calls this again; one that goes on to `exec` need not.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] on other allocators; [`Error::UnsupportedTarget`] on Apple, where
    /// jemalloc has no such threads, and on musl, where they are known not to work;
    /// [`Error::Jemalloc`] if a thread cannot be made.
    fn background_threads(&self, on: bool) -> Result<(), Error> {
        let _ = on;
        Err(Error::Unsupported)
    }

    /// Whether allocations are being sampled for a heap profile. jemalloc: `prof.active`.
    fn is_profiling(&self) -> bool {
        false
    }

    /// Starts to sample allocations for a heap profile. jemalloc: `prof.active`.
    ///
    /// This takes the feature `profiling` and a program that starts with `prof:true`, such as the
    /// options [`conf::PROFILING_ARMED`](crate::conf::PROFILING_ARMED), or
    /// [`conf::PROFILING`](crate::conf::PROFILING), which sample from the start.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] on other allocators, [`Error::MissingFeature`] without the feature,
    /// [`Error::MissingOption`] without the option.
    fn start_profile(&self) -> Result<(), Error> {
        Err(Error::Unsupported)
    }

    /// Stops sampling. What has been sampled and not yet freed stays in the profile. jemalloc:
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
    /// Each thread has drawn the distance to its next sample already, and takes that one first:
    /// after a rate that samples next to nothing (`lg_sample` of 40 and more) a running thread may
    /// never come to a smaller one. More than 53 (31 on 32-bit targets) counts as that.
    ///
    /// # Errors
    ///
    /// Those of [`start_profile`](Self::start_profile).
    fn reset_profile(&self, lg_sample: Option<u32>) -> Result<(), Error> {
        let _ = lg_sample;
        Err(Error::Unsupported)
    }

    /// Writes the heap profile to a file: the sampled blocks that are still held, with the stacks
    /// that allocated them. It writes as [`std::fs::write`] does: what is in a file that is there
    /// is lost, behind a link and the name of a descriptor (`/dev/stdout`) too, two calls at once
    /// with one path write into one file, and with a pipe the call waits for a reader. jemalloc:
    /// `prof.dump`.
    ///
    /// # Errors
    ///
    /// Those of [`dump_profile_to`](Self::dump_profile_to); [`Error::Path`] if the path has a NUL
    /// in it; [`Error::Io`] if the file cannot be written, which is emptied then; what a pipe
    /// or a device has been given stays.
    fn dump_profile(&self, path: &Path) -> Result<(), Error> {
        let _ = path;
        Err(Error::Unsupported)
    }

    /// Writes the heap profile, as [`dump_profile`](Self::dump_profile) does, to `out`. It needs
    /// no folder that can be written to on Linux, where it goes through memory (`memfd_create`);
    /// elsewhere, and without `/proc`, it goes through a file in a folder of its own in
    /// [`std::env::temp_dir`], which does not stay behind, and which nobody else may be able to
    /// rename. Without `/proc` it does not tell what is loaded, so that its addresses have no
    /// names.
    ///
    /// # Errors
    ///
    /// Those of [`start_profile`](Self::start_profile); [`Error::Io`] if `out` fails, which is
    /// flushed, or there is no room for the profile; [`Error::TooManyFiles`] if no descriptor is
    /// free.
    fn dump_profile_to(&self, out: &mut dyn io::Write) -> Result<(), Error> {
        let _ = out;
        Err(Error::Unsupported)
    }

    /// Reads any of jemalloc's
    /// [controls](https://jemalloc.net/jemalloc.3.html#mallctl_namespace) by
    /// its name, such as `opt.narenas` as a `u32`. Some make something when they are read, such as
    /// `arenas.create`, which makes no more where there are a thousand. jemalloc: `mallctl`.
    ///
    /// ```
    /// # alloc_switch::global_allocator!(static ALLOCATOR);
    /// match ALLOCATOR.read_control::<u32>("arenas.narenas") {
    ///     Ok(arenas) => println!("{arenas} arenas"),
    ///     Err(error) => println!("{error}"),
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] on other allocators; [`Error::MissingFeature`] for `stats.*` without
    /// the feature `stats`; [`Error::UnknownControl`]; [`Error::WrongType`];
    /// [`Error::UnsafeControl`] for the few that take a pointer or a struct, or follow a pointer
    /// that may be null; [`Error::Jemalloc`] with what jemalloc says, or 1 (`EPERM`) for two that
    /// are called when they are read, and 12 (`ENOMEM`) for `arenas.create` as above.
    fn read_control<T: ControlValue>(&self, name: &str) -> Result<T, Error>
    where
        Self: Sized,
    {
        let _ = name;
        Err(Error::Unsupported)
    }

    /// Writes a control that is safe to write whatever the value, such as `arenas.dirty_decay_ms`
    /// as an `isize`. jemalloc: `mallctl`.
    ///
    /// # Errors
    ///
    /// Those of [`read_control`](Self::read_control), and [`Error::UnsafeControl`] for all others,
    /// unknown ones too; [`Error::UnsupportedTarget`] for `background_thread` where
    /// [`background_threads`](Self::background_threads) has it.
    fn write_control<T: ControlValue>(&self, name: &str, value: T) -> Result<(), Error>
    where
        Self: Sized,
    {
        let _ = (name, value);
        Err(Error::Unsupported)
    }

    /// Calls a control that has no value and is safe to call, such as `arena.0.purge`. jemalloc:
    /// `mallctl`.
    ///
    /// # Errors
    ///
    /// Those of [`write_control`](Self::write_control).
    fn call_control(&self, name: &str) -> Result<(), Error>
    where
        Self: Sized,
    {
        let _ = name;
        Err(Error::Unsupported)
    }

    /// Writes any control. jemalloc: `mallctl`.
    ///
    /// # Safety
    ///
    /// What jemalloc's manual asks of whoever writes this control holds.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] on other allocators; [`Error::UnknownControl`];
    /// [`Error::WrongType`] for a text with a NUL in it; [`Error::Jemalloc`] with what jemalloc
    /// says, which is 22 (`EINVAL`) for a value of another size.
    unsafe fn write_any_control<T: ControlValue>(&self, name: &str, value: T) -> Result<(), Error>
    where
        Self: Sized,
    {
        let _ = (name, value);
        Err(Error::Unsupported)
    }

    /// Calls any control that has no value. jemalloc: `mallctl`.
    ///
    /// # Safety
    ///
    /// What jemalloc's manual asks of whoever calls this control holds: after `arena.<i>.reset`,
    /// say, no block of that arena is used.
    ///
    /// # Errors
    ///
    /// Those of [`write_any_control`](Self::write_any_control).
    unsafe fn call_any_control(&self, name: &str) -> Result<(), Error>
    where
        Self: Sized,
    {
        let _ = name;
        Err(Error::Unsupported)
    }
}

/// What the allocator holds for the whole process, in bytes; see [`Handle::stats`].
///
/// A field is `None` where the allocator does not know it. `allocated` is a part of `active`, and
/// that one of `mapped` and, with `metadata`, of `resident`.
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
    /// Bytes in physical memory, unused pages and metadata included, an upper bound. jemalloc:
    /// `stats.resident`.
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
    /// Bytes allocated by this thread, usable sizes. jemalloc: `thread.allocatedp`.
    pub allocated: u64,
    /// Bytes freed by this thread, usable sizes. jemalloc: `thread.deallocatedp`.
    pub deallocated: u64,
}

/// The options in effect; see [`Handle::options`].
///
/// `Display` makes a line for `conf` of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options(pub(crate) Vec<(&'static str, String)>);

impl Options {
    /// The value of an option, spelled as `conf` spells it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find_map(|(known, value)| (known == name).then_some(value))
    }

    /// Every option that the allocator tells of, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (name, value)) in self.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            write!(f, "{comma}{name}:{value}")?;
        }
        Ok(())
    }
}

/// What [`Handle::report`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReportForm {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// A type that jemalloc's controls have: `bool`, `u32` (`unsigned`, `uint32_t`), `u64`, `i64`,
/// `usize` (`size_t`), `isize` (`ssize_t`), and `String` for a C string, which is copied.
pub trait ControlValue: control::Value {}

impl<T: control::Value> ControlValue for T {}

pub(crate) mod control {
    use std::ffi::{c_char, CStr, CString};

    use super::Error;
    use crate::conf::CType;

    /// Seals [`ControlValue`](super::ControlValue), so that each size and each bit pattern is
    /// known.
    pub trait Value: Sized {
        const TYPE: CType;
        /// What jemalloc reads and writes.
        type Raw: Copy;

        /// # Safety
        ///
        /// A text is null or a C string.
        unsafe fn from_raw(raw: Self::Raw) -> Self;

        fn with_raw<R>(self, write: impl FnOnce(Self::Raw) -> R) -> Result<R, Error>;
    }

    macro_rules! numbers {
        ($($type:ty: $c_type:ident,)*) => {
            $(
                impl Value for $type {
                    const TYPE: CType = CType::$c_type;
                    type Raw = Self;

                    #[inline]
                    unsafe fn from_raw(raw: Self) -> Self {
                        raw
                    }

                    #[inline]
                    fn with_raw<R>(self, write: impl FnOnce(Self) -> R) -> Result<R, Error> {
                        Ok(write(self))
                    }
                }
            )*
        };
    }

    numbers! {
        bool: Bool,
        u32: Unsigned,
        usize: Size,
        isize: SignedSize,
        u64: U64,
        i64: I64,
    }

    impl Value for String {
        const TYPE: CType = CType::Text;
        type Raw = *const c_char;

        #[inline]
        unsafe fn from_raw(raw: *const c_char) -> Self {
            if raw.is_null() {
                return String::new();
            }
            // SAFETY: the caller's promise.
            unsafe { CStr::from_ptr(raw) }.to_string_lossy().into_owned()
        }

        #[inline]
        fn with_raw<R>(self, write: impl FnOnce(*const c_char) -> R) -> Result<R, Error> {
            let text = CString::new(self).map_err(|_| Error::WrongType)?;
            Ok(write(text.as_ptr()))
        }
    }
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
    /// The path has a NUL in it.
    Path,
    /// The jemalloc that is linked has no control of this name.
    UnknownControl,
    /// The control has a value of another type.
    WrongType,
    /// The control takes what only an `unsafe` function may give it.
    UnsafeControl,
    /// Something else than the allocator failed.
    Io(io::ErrorKind),
    /// The process, or the system, may open no more files.
    TooManyFiles,
    /// jemalloc refused, with this error number.
    Jemalloc(i32),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unsupported => f.write_str(
                "the allocator in use cannot do this on this target; print its choice to see why \
                 it is in use",
            ),
            Error::UnsupportedTarget => f.write_str("jemalloc cannot do this on this target"),
            Error::MissingFeature(feature) => write!(
                f,
                "jemalloc was built without it: turn on the feature `{feature}` of alloc-switch"
            ),
            Error::MissingOption(option) => write!(
                f,
                "the program was started without it: write `conf = \"{option}\"` in \
                 `global_allocator!`, or start it with {}={option} in the environment",
                ENVIRONMENT.unwrap_or("MALLOC_CONF")
            ),
            Error::Path => f.write_str("the path has a NUL in it"),
            Error::UnknownControl => f.write_str("jemalloc has no control of this name"),
            Error::WrongType => f.write_str("the control has a value of another type"),
            Error::UnsafeControl => f.write_str(
                "only `write_any_control` and `call_any_control`, which are unsafe, reach this \
                 control: it may take a pointer, or memory that is in use",
            ),
            Error::Io(kind) => kind.fmt(f),
            Error::TooManyFiles => {
                f.write_str("the process, or the system, may open no more files (RLIMIT_NOFILE)")
            }
            Error::Jemalloc(errno) => write!(f, "jemalloc refused with error number {errno}"),
        }
    }
}

impl std::error::Error for Error {}

/// What [`Handle::self_check`] found wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SelfCheckError {
    /// Memory that this artifact allocates does not come from the allocator that was chosen for it:
    /// another allocator is registered, or the feature `override-malloc` has put jemalloc behind
    /// the system allocator's `malloc`.
    Artifact(Choice),
    /// Memory that the standard library allocates in its own compiled code comes from another
    /// allocator, because it is shared (`-C prefer-dynamic`, or a dependency of crate type dylib).
    /// The program will abort when one side frees the other's memory.
    Std(Choice),
    /// A sanitizer's runtime is in the process, and does not see the memory of this allocator.
    Sanitizer(Choice),
}

impl fmt::Display for SelfCheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SelfCheckError::Artifact(choice) => write!(
                f,
                "the chosen allocator is {choice}, but memory allocated here does not come from \
                 it: another allocator is registered, or override-malloc put jemalloc behind malloc"
            ),
            SelfCheckError::Std(choice) => write!(
                f,
                "the chosen allocator is {choice}, but memory allocated inside the standard \
                 library does not come from it: std is shared, through -C prefer-dynamic or a \
                 dylib dependency, and freeing across will abort; link std statically, choose the \
                 system allocator, or turn on override-malloc"
            ),
            SelfCheckError::Sanitizer(choice) => write!(
                f,
                "the chosen allocator is {choice}, but a sanitizer is on, which sees only the \
                 system allocator's memory: build with --cfg alloc_switch=\"system\" in RUSTFLAGS, \
                 or put -Zsanitizer there, where this crate sees it"
            ),
        }
    }
}

impl std::error::Error for SelfCheckError {}
