//! The handle of jemalloc: its `mallctl`, report and profiles.

use std::any::Any;
use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::fs::File;
use std::mem::{size_of, MaybeUninit};
#[cfg(target_os = "linux")]
use std::os::fd::{AsRawFd, FromRawFd};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::path::Path;
use std::{fmt, io, ptr};

use tikv_jemalloc_sys as ffi;

use super::self_check::{self, SelfCheckError};
use super::system::check_locked;
use super::{Error, Handle, ReportFormat, Stats, ThreadStats};
use crate::chosen::{Answer, Choice, Chosen, JEMALLOC};

impl<const REASON: u8, T: Sync> Handle for Chosen<Answer<JEMALLOC, REASON, T>> {
    #[inline]
    fn choice(&self) -> Choice {
        Self::CHOICE
    }

    #[inline]
    fn self_check(&self) -> Result<(), SelfCheckError> {
        self_check::of_jemalloc(Self::CHOICE, || Some(self.thread_stats()?.allocated))
    }

    #[inline]
    fn stats(&self) -> Option<Stats> {
        // SAFETY: `epoch` takes a `uint64_t`, and any value refreshes what the others read, each of
        // which is a `size_t`.
        unsafe {
            write(c"epoch", 1_u64).ok()?;
            Some(Stats {
                allocated: Some(read(c"stats.allocated").ok()?),
                active: Some(read(c"stats.active").ok()?),
                metadata: Some(read(c"stats.metadata").ok()?),
                resident: Some(read(c"stats.resident").ok()?),
                mapped: Some(read(c"stats.mapped").ok()?),
                retained: Some(read(c"stats.retained").ok()?),
            })
        }
    }

    #[inline]
    fn thread_stats(&self) -> Option<ThreadStats> {
        // SAFETY: both are a `uint64_t`.
        unsafe {
            Some(ThreadStats {
                allocated: read(c"thread.allocated").ok()?,
                deallocated: read(c"thread.deallocated").ok()?,
            })
        }
    }

    #[inline]
    fn report(&self, out: &mut dyn fmt::Write, format: ReportFormat) -> Result<(), Error> {
        struct Sink<'a> {
            out: &'a mut dyn fmt::Write,
            result: fmt::Result,
            panic: Option<Box<dyn Any + Send>>,
        }

        /// # Safety
        ///
        /// `sink` is a `Sink` that nobody else uses, and `text` a C string.
        unsafe extern "C" fn write(sink: *mut c_void, text: *const c_char) {
            // SAFETY: both are what the caller promises.
            let (sink, text) = unsafe { (&mut *sink.cast::<Sink>(), CStr::from_ptr(text)) };
            if sink.result.is_ok() && sink.panic.is_none() {
                // A panic must not pass through jemalloc.
                let out = AssertUnwindSafe(|| sink.out.write_str(&text.to_string_lossy()));
                match catch_unwind(out) {
                    Ok(result) => sink.result = result,
                    Err(panic) => sink.panic = Some(panic),
                }
            }
        }

        let mut sink = Sink { out, result: Ok(()), panic: None };
        let format = match format {
            ReportFormat::Text => c"",
            ReportFormat::Json => c"J",
        };
        // SAFETY: jemalloc calls `write` with the pointer to `sink` and C strings before it
        // returns, and with nothing else.
        unsafe {
            ffi::malloc_stats_print(Some(write), ptr::from_mut(&mut sink).cast(), format.as_ptr());
        }
        if let Some(panic) = sink.panic {
            resume_unwind(panic);
        }
        sink.result.map_err(|_| Error::Io(io::ErrorKind::Other))
    }

    #[inline]
    fn purge(&self) -> Result<(), Error> {
        // SAFETY: neither takes a value, and both may be called at any time. The first fails in a
        // thread without a cache, which is harmless. 4096 is `MALLCTL_ARENAS_ALL`.
        unsafe {
            let _ = call(c"thread.tcache.flush");
            call(c"arena.4096.purge").map_err(Error::Jemalloc)?;
        }
        // jemalloc does not look what the kernel says.
        check_locked()
    }

    #[inline]
    fn background_threads(&self, on: bool) -> Result<(), Error> {
        if cfg!(target_env = "musl") {
            return Err(Error::UnsupportedTarget); // tikv-jemalloc-sys: NO_BG_THREAD_TARGETS
        }
        let switch = |on: bool| {
            // SAFETY: the control takes a `bool`.
            unsafe { write(c"background_thread", on) }.map_err(|errno| match errno {
                ENOENT => Error::UnsupportedTarget,
                EFAULT => Error::NoThread,
                _ => Error::Jemalloc(errno),
            })
        };
        // jemalloc does nothing where the control is what is asked for, and leaves it on where it
        // could make no thread, now or when the program started.
        switch(false)?;
        let started = if on { switch(true) } else { Ok(()) };
        started.inspect_err(|_| switch(false).unwrap_or_default())
    }

    #[inline]
    fn is_profiling(&self) -> bool {
        // SAFETY: the control is a `bool`.
        unsafe { read(c"prof.active") }.unwrap_or(false)
    }

    #[inline]
    fn start_profile(&self) -> Result<(), Error> {
        set_active(true)
    }

    #[inline]
    fn stop_profile(&self) -> Result<(), Error> {
        set_active(false)
    }

    #[inline]
    fn reset_profile(&self, lg_sample: Option<u32>) -> Result<(), Error> {
        profiling_is_on()?;
        // SAFETY: the control takes a `size_t` or nothing. Beyond 53, what a `double` tells from
        // one, jemalloc would divide by zero.
        let reset = unsafe {
            match lg_sample {
                Some(lg) => write(c"prof.reset", lg.min(53).min(usize::BITS - 1) as usize),
                None => call(c"prof.reset"),
            }
        };
        reset.map_err(Error::Jemalloc)
    }

    #[inline]
    fn dump_profile(&self, path: &Path) -> Result<(), Error> {
        let mut profile = profile()?;
        let mut file = File::create(path).map_err(io_error)?;
        copy(&mut profile, &mut file).inspect_err(|_| {
            let _ = file.set_len(0); // a pipe or a device has no length
        })
    }

    #[inline]
    fn dump_profile_to(&self, out: &mut dyn io::Write) -> Result<(), Error> {
        copy(&mut profile()?, out)
    }
}

/// Whether jemalloc was built and started with heap profiles.
#[inline]
fn profiling_is_on() -> Result<(), Error> {
    // SAFETY: both are a `bool`.
    let (built, started) = unsafe { (read(c"config.prof"), read(c"opt.prof")) };
    match (built, started) {
        (Ok(true), Ok(true)) => Ok(()),
        (Ok(true), _) => Err(Error::MissingOption("prof:true")),
        _ => Err(Error::MissingFeature("profiling")),
    }
}

#[inline]
fn set_active(on: bool) -> Result<(), Error> {
    profiling_is_on()?;
    // SAFETY: the control takes a `bool`.
    unsafe { write(c"prof.active", on) }.map_err(Error::Jemalloc)
}

/// The heap profile in a file that is gone when it is closed, to be read from its start. jemalloc
/// can only write to a path.
#[inline]
fn profile() -> Result<File, Error> {
    profiling_is_on()?;
    #[cfg(target_os = "linux")]
    match in_memory().map_err(io_error) {
        Ok(file) => {
            // The thread may have descriptors of its own.
            let path = format!("/proc/thread-self/fd/{}", file.as_raw_fd());
            if Path::new(&path).exists() {
                return dump(path.as_ref()).map(|()| file);
            }
        }
        Err(Error::TooManyFiles) => return Err(Error::TooManyFiles),
        Err(_) => {}
    }
    #[cfg(feature = "profiling")]
    {
        let file = tempfile::NamedTempFile::new().map_err(io_error)?;
        dump(file.path())?;
        Ok(file.into_file())
    }
    #[cfg(not(feature = "profiling"))]
    Err(Error::MissingFeature("profiling"))
}

/// An empty file in memory. The function is called by number, because glibc has it from 2.27 on and
/// Rust programs start on 2.17. From Linux 6.3 a system may want to be told that it is no program.
#[cfg(target_os = "linux")]
#[inline]
fn in_memory() -> io::Result<File> {
    const MFD_NOEXEC_SEAL: libc::c_uint = 8; // newer than the libc crate that is asked for
    let create = |flags: libc::c_uint| {
        // SAFETY: the name is a C string, and the answer is -1 or a new descriptor, which nobody
        // else owns.
        unsafe {
            match libc::syscall(libc::SYS_memfd_create, c"heap profile".as_ptr(), flags) {
                -1 => Err(io::Error::last_os_error()),
                descriptor => Ok(File::from_raw_fd(descriptor as c_int)),
            }
        }
    };
    create(libc::MFD_CLOEXEC | MFD_NOEXEC_SEAL).or_else(|_| create(libc::MFD_CLOEXEC))
}

/// `prof.dump`
#[inline]
fn dump(path: &Path) -> Result<(), Error> {
    let path = CString::new(path.as_os_str().as_encoded_bytes())
        .map_err(|_| Error::Io(io::ErrorKind::InvalidInput))?;
    // SAFETY: the control takes a C string, which jemalloc reads during the call only.
    unsafe { write(c"prof.dump", path.as_ptr()) }.map_err(|_| Error::NotWritten)
}

/// Through a buffer: between two files `io::copy` would stop at a signal.
#[inline]
fn copy(profile: &mut File, out: &mut dyn io::Write) -> Result<(), Error> {
    match io::copy(profile, out).and_then(|copied| out.flush().map(|()| copied)) {
        Ok(0) => Err(Error::NotWritten),
        Ok(_) => Ok(()),
        Err(error) => Err(io_error(error)),
    }
}

#[inline]
fn io_error(error: io::Error) -> Error {
    match error.raw_os_error() {
        #[cfg(unix)]
        Some(libc::EMFILE | libc::ENFILE) => Error::TooManyFiles,
        _ => Error::Io(error.kind()),
    }
}

// The same numbers on every Unix.
const ENOENT: c_int = 2;
const EFAULT: c_int = 14;

/// # Safety
///
/// `T` is the control's type.
#[inline]
unsafe fn read<T>(name: &CStr) -> Result<T, c_int> {
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: `value` has room for a `T`, and jemalloc has written one if there is no error. The
    // types that controls have are numbers and pointers, of which zero is one.
    unsafe {
        mallctl(name, value.as_mut_ptr(), ptr::null_mut())?;
        Ok(value.assume_init())
    }
}

/// # Safety
///
/// `T` is the control's type, and the control may be given this value.
#[inline]
unsafe fn write<T>(name: &CStr, mut value: T) -> Result<(), c_int> {
    // SAFETY: `value` is a `T`, which the caller has for the control.
    unsafe { mallctl(name, ptr::null_mut(), &mut value) }
}

/// # Safety
///
/// The control takes no value, and may be called.
#[inline]
unsafe fn call(name: &CStr) -> Result<(), c_int> {
    // SAFETY: no value is read or written.
    unsafe { mallctl::<()>(name, ptr::null_mut(), ptr::null_mut()) }
}

/// Reads a value to `old` and writes the one at `new`, where these are not null:
/// <https://jemalloc.net/jemalloc.3.html#mallctl_namespace>.
///
/// # Safety
///
/// `T` is the control's type. `old` is null or valid for writing, `new` null or a value that the
/// control may be given.
#[inline]
unsafe fn mallctl<T>(name: &CStr, old: *mut T, new: *mut T) -> Result<(), c_int> {
    let mut old_len = size_of::<T>();
    let old_len = if old.is_null() { ptr::null_mut() } else { ptr::from_mut(&mut old_len) };
    let new_len = if new.is_null() { 0 } else { size_of::<T>() };
    // SAFETY: the name is a C string, the pointers are what the caller promises, and the lengths
    // are theirs. jemalloc checks the lengths against the control.
    match unsafe { ffi::mallctl(name.as_ptr(), old.cast(), old_len, new.cast(), new_len) } {
        0 => Ok(()),
        errno => Err(errno),
    }
}
