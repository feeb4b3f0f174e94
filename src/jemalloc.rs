//! jemalloc's own interface beyond allocating: `mallctl`, and staying loaded.
//!
//! Every function is `#[inline]`, so that it is compiled into an artifact that calls it and into no
//! other: a reference to jemalloc in this crate's own object file would drag it into artifacts on
//! the system allocator.

use std::alloc::Layout;
use std::any::Any;
use std::cell::Cell;
use std::ffi::{c_char, c_int, c_uint, c_void, CStr, CString};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::io::{self, Seek, Write};
use std::mem::{size_of, MaybeUninit};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::path::{self, Path};
use std::ptr::NonNull;
use std::{env, fmt, fs, process, ptr};

use tikv_jemalloc_sys as ffi;

use crate::choice::VERSION;
use crate::conf::{CType, Key, KEYS};
use crate::handle::control::Value;
use crate::handle::{ControlValue, Error, Options, ReportForm, Stats, ThreadStats};

/// See [`InPlaceAlloc`](crate::InPlaceAlloc).
///
/// # Safety
///
/// `ptr` is a block of jemalloc's.
#[inline]
pub(crate) unsafe fn usable_size(ptr: *mut u8, _layout: Layout) -> usize {
    // SAFETY: the caller's promise.
    unsafe { ffi::sallocx(ptr.cast(), 0) }
}

/// See [`InPlaceAlloc`](crate::InPlaceAlloc). `sdallocx` requires that the block's size class is
/// that of the size it is freed with: <https://jemalloc.net/jemalloc.3.html>.
///
/// # Safety
///
/// `ptr` is a block of jemalloc's with this layout, and `new_size` is not zero.
#[inline]
pub(crate) unsafe fn reallocate_inplace(
    ptr: *mut u8,
    layout: Layout,
    new_size: usize,
) -> Option<NonNull<u8>> {
    let flags = ffi::MALLOCX_ALIGN(layout.align());
    // SAFETY: the caller's promise. `xallocx` moves nothing; the alignment only has it check the
    // address, which is aligned. `nallocx` answers zero for a size that no block can have.
    let done =
        unsafe { ffi::xallocx(ptr.cast(), new_size, 0, flags) == ffi::nallocx(new_size, flags) };
    // The compiler may have seen the size when the block was allocated, and must not connect the
    // two.
    NonNull::new(black_box(ptr)).filter(|_| done)
}

/// `stats.*`, if jemalloc was built to count.
#[inline]
pub(crate) fn stats() -> Option<Stats> {
    // SAFETY: the control takes a `uint64_t`; any value refreshes what the others read. Those are
    // `size_t`.
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

std::thread_local! {
    /// Where jemalloc counts for this thread.
    static COUNTERS: Cell<Option<(*const u64, *const u64)>> = const { Cell::new(None) };
}

#[inline]
pub(crate) fn thread_stats() -> Option<ThreadStats> {
    // Elsewhere, and in a build that is not ours, jemalloc may keep its thread data in memory that
    // it frees before the thread has ended.
    const STAYS: bool = cfg!(any(target_os = "linux", target_os = "freebsd")) && VERSION.is_some();
    let known = if STAYS { COUNTERS.with(Cell::get) } else { None };
    let (allocated, deallocated) = match known {
        Some(counters) => counters,
        None => {
            // SAFETY: both controls are pointers to a `uint64_t`.
            let counters =
                unsafe { (read(c"thread.allocatedp").ok()?, read(c"thread.deallocatedp").ok()?) };
            COUNTERS.with(|known| known.set(Some(counters)));
            counters
        }
    };
    // SAFETY: both were just asked for, or are in this thread's thread-local storage and last as
    // long as the thread. Nobody else writes to them. Volatile, because jemalloc does so behind the
    // compiler.
    unsafe {
        Some(ThreadStats {
            allocated: allocated.read_volatile(),
            deallocated: deallocated.read_volatile(),
        })
    }
}

/// `opt.*`
#[inline]
pub(crate) fn options() -> Option<Options> {
    // 5.3.0 tells of an option that it does not take.
    let is_5_3_0 = read_control::<String>("version").is_ok_and(|it| it.starts_with("5.3.0"));
    let is_taken = |key: &Key| !(is_5_3_0 && key.is_newer_than_5_3_0());
    let known = KEYS.iter().filter(|key| key.readable && is_taken(key));
    Some(Options(known.filter_map(|key| Some((key.name, option(key)?))).collect()))
}

/// The value of an option, spelled as `conf` spells it. `None` if this jemalloc does not have it.
#[inline]
fn option(key: &Key) -> Option<String> {
    /// # Safety
    ///
    /// `T` is the control's type.
    #[inline]
    unsafe fn number<T: ToString>(name: &CStr) -> Option<String> {
        // SAFETY: the caller's promise.
        unsafe { read::<T>(name) }.ok().map(|value| value.to_string())
    }

    let name = key.opt();
    let name = CStr::from_bytes_until_nul(&name).ok()?;
    // SAFETY: the table has each control's type. A text is a C string that stays, or null.
    unsafe {
        match key.c_type() {
            CType::Bool => number::<bool>(name),
            CType::Unsigned => number::<c_uint>(name),
            CType::Size => number::<usize>(name),
            CType::SignedSize => number::<isize>(name),
            CType::U64 => number::<u64>(name),
            CType::I64 => number::<i64>(name),
            CType::Fixed => {
                read::<u32>(name).ok().map(|value| (f64::from(value) / 65536.0).to_string())
            }
            CType::Text => Some(String::from_raw(read(name).ok()?)),
        }
    }
}

/// `malloc_stats_print`
#[inline]
pub(crate) fn report(out: &mut dyn fmt::Write, form: ReportForm) -> Result<(), Error> {
    struct Sink<'a> {
        out: &'a mut dyn fmt::Write,
        result: fmt::Result,
        panic: Option<Box<dyn Any + Send>>,
    }

    /// # Safety
    ///
    /// `sink` is a `Sink` and `text` a C string.
    unsafe extern "C" fn write(sink: *mut c_void, text: *const c_char) {
        // SAFETY: the caller's promise.
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
    let form = match form {
        ReportForm::Text => c"",
        ReportForm::Json => c"J",
    };
    // SAFETY: jemalloc calls the function with the pointer beside it, before it returns.
    unsafe {
        ffi::malloc_stats_print(Some(write), ptr::from_mut(&mut sink).cast(), form.as_ptr());
    }
    if let Some(panic) = sink.panic {
        resume_unwind(panic);
    }
    sink.result.map_err(|_| Error::Io(io::ErrorKind::Other))
}

#[inline]
pub(crate) fn purge() -> Result<(), Error> {
    // SAFETY: neither control takes or gives a value. The first fails in a thread without a cache,
    // which is harmless. In the second, 4096 is `MALLCTL_ARENAS_ALL`.
    unsafe {
        let _ = call(c"thread.tcache.flush");
        call(c"arena.4096.purge")
    }
}

#[inline]
pub(crate) fn background_threads(on: bool) -> Result<(), Error> {
    if cfg!(target_env = "musl") {
        return Err(Error::UnsupportedTarget); // tikv-jemalloc-sys: NO_BG_THREAD_TARGETS
    }
    let switch = |on: bool| {
        // SAFETY: the control takes a `bool`.
        unsafe { write(c"background_thread", on) }
    };
    switch(on).map_err(|error| match error {
        Error::UnknownControl => Error::UnsupportedTarget,
        other => {
            // jemalloc takes threads that it could not make for made, and leaves its work to them.
            let _ = switch(false);
            other
        }
    })
}

#[inline]
pub(crate) fn is_profiling() -> bool {
    // SAFETY: the control is a `bool`.
    unsafe { read(c"prof.active") }.unwrap_or(false)
}

#[inline]
pub(crate) fn sample(on: bool) -> Result<(), Error> {
    profiling_is_on()?;
    // SAFETY: the control takes a `bool`.
    unsafe { write(c"prof.active", on) }
}

#[inline]
pub(crate) fn reset_profile(lg_sample: Option<u32>) -> Result<(), Error> {
    profiling_is_on()?;
    // SAFETY: the control takes a `size_t` or nothing.
    unsafe {
        match lg_sample {
            // Beyond what a `double` tells from one, jemalloc divides by zero.
            Some(lg_sample) => {
                write(c"prof.reset", lg_sample.min(53).min(usize::BITS - 1) as usize)
            }
            None => call(c"prof.reset"),
        }
    }
}

/// As `fs::write` would.
#[inline]
pub(crate) fn dump_profile(path: &Path) -> Result<(), Error> {
    let mut profile = profile()?;
    let mut file = File::create(path).map_err(|error| match error.raw_os_error() {
        None if error.kind() == io::ErrorKind::InvalidInput => Error::Path,
        _ => io_error(error),
    })?;
    copy(&mut profile, &mut file).inspect_err(|_| {
        if file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            let _ = file.set_len(0);
        }
    })
}

#[inline]
pub(crate) fn dump_profile_to(out: &mut dyn io::Write) -> Result<(), Error> {
    copy(&mut profile()?, out)
}

/// Through a buffer on the stack: between two files `io::copy` would stop at a signal.
#[inline]
fn copy(profile: &mut Profile, out: &mut dyn io::Write) -> Result<(), Error> {
    let copied = io::copy(&mut profile.file, out).and_then(|copied| {
        out.flush()?;
        // The path may have been the profile's own, by the number of its descriptor.
        if copied == profile.length {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    });
    copied.map_err(|error| Error::Io(error.kind()))
}

#[inline]
fn io_error(error: io::Error) -> Error {
    match error.raw_os_error() {
        #[cfg(unix)]
        Some(libc::EMFILE | libc::ENFILE) => Error::TooManyFiles,
        _ => Error::Io(error.kind()),
    }
}

/// A file that soon has no name, if it ever had one, and its length once it is whole. A child that
/// was started meanwhile may have it open, so that it gives its memory back only when it is emptied.
struct Profile {
    file: File,
    length: u64,
}

impl From<File> for Profile {
    #[inline]
    fn from(file: File) -> Self {
        Profile { file, length: 0 }
    }
}

impl Drop for Profile {
    #[inline]
    fn drop(&mut self) {
        let _ = self.file.set_len(0);
    }
}

/// The profile, to be read from its start. jemalloc can only write to a path.
#[inline]
fn profile() -> Result<Profile, Error> {
    profiling_is_on()?;
    #[cfg(target_os = "linux")]
    match in_memory().map_err(io_error) {
        Ok(profile) => {
            use std::os::fd::AsRawFd;
            use std::os::unix::fs::MetadataExt;

            // /proc may be absent, or somebody else's.
            let path = format!("/proc/thread-self/fd/{}", profile.file.as_raw_fd());
            let node = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
            let found = fs::metadata(&path).map(node).ok();
            if found.is_some() && found == profile.file.metadata().map(node).ok() {
                return dump(path.as_ref(), profile);
            }
        }
        Err(Error::TooManyFiles) => return Err(Error::TooManyFiles),
        Err(_) => {} // the kernel has no such files
    }
    // In a folder that nobody else may enter, under a name that nobody can foresee. Whoever may
    // rename it, because the folder above is theirs, can put another in its place.
    let name = format!("heap-profile-{:016x}", RandomState::new().hash_one(process::id()));
    let folder = path::absolute(env::temp_dir().join(name)).map_err(io_error)?;
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder).map_err(io_error)?;
    let path = folder.join("profile");
    let file = File::options().read(true).write(true).create_new(true).open(&path);
    let dumped = file.map_err(io_error).and_then(|file| dump(&path, file.into()));
    let _ = fs::remove_file(path);
    let _ = fs::remove_dir(folder);
    dumped
}

/// By number, because glibc before 2.27 has no function for it. From Linux 6.3 a system may want to
/// be told that the file is no program.
#[cfg(target_os = "linux")]
#[inline]
fn in_memory() -> io::Result<Profile> {
    use std::os::fd::FromRawFd;

    const MFD_NOEXEC_SEAL: libc::c_uint = 8; // newer than the libc crate that is asked for
    let create = |flags: libc::c_uint| {
        // SAFETY: the name is a C string, and what is returned is a new descriptor or -1.
        unsafe {
            match libc::syscall(libc::SYS_memfd_create, c"heap profile".as_ptr(), flags) {
                -1 => Err(io::Error::last_os_error()),
                descriptor => Ok(File::from_raw_fd(descriptor as c_int).into()),
            }
        }
    };
    create(libc::MFD_CLOEXEC | MFD_NOEXEC_SEAL).or_else(|_| create(libc::MFD_CLOEXEC))
}

/// `prof.dump` to the path, under which `profile` is open; it is read from its start then.
#[inline]
fn dump(path: &Path, mut profile: Profile) -> Result<Profile, Error> {
    let file = &mut profile.file;
    let path = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| Error::Path)?;
    // jemalloc does not say why it could not open it.
    drop(file.try_clone().map_err(io_error)?);
    profile.length = without_sigxfsz(|| {
        // SAFETY: the control takes a C string, which it only reads during the call.
        match unsafe { write(c"prof.dump", path.as_ptr()) } {
            Ok(()) => complete(file).map_err(io_error),
            // Nor why it could not write, which another write may.
            Err(Error::Jemalloc(_)) => {
                Err(takes_more(file).map_or_else(io_error, |_| Error::Io(io::ErrorKind::Other)))
            }
            Err(other) => Err(other),
        }
    })?;
    Ok(profile)
}

/// Sees that the file is whole, and has the list of what this process has loaded; and how long it is.
#[inline]
fn complete(file: &mut File) -> io::Result<u64> {
    if file.metadata()?.len() == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into()); // it was written elsewhere
    }
    // jemalloc leaves the list out, without a word, if it cannot open it; and takes another
    // process's where /proc is that of an outer container.
    #[cfg(target_os = "linux")]
    {
        const HEADING: &[u8] = b"\nMAPPED_LIBRARIES:\n";
        if let Some(at) = find(file, HEADING)? {
            file.set_len(at)?;
        }
        match File::open("/proc/thread-self/maps") {
            // There is no /proc, or not for this process.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EACCES)) => {}
            maps => {
                file.seek(io::SeekFrom::End(0))?;
                file.write_all(HEADING)?;
                if io::copy(&mut maps?, file as &mut dyn io::Write)? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }
    // jemalloc 5.3.0 takes a write that was cut short for a whole one. A file that takes no more
    // may be such a one.
    let length = takes_more(file)?;
    file.rewind()?;
    Ok(length)
}

/// Whether the file can grow, which it is left without; its length.
#[inline]
fn takes_more(file: &mut File) -> io::Result<u64> {
    let length = file.seek(io::SeekFrom::End(0))?;
    file.write_all(b"\n")?;
    file.set_len(length)?;
    Ok(length)
}

/// Where the text is in the file.
#[cfg(target_os = "linux")]
#[inline]
fn find(file: &mut File, text: &[u8]) -> io::Result<Option<u64>> {
    use std::io::Read;

    let mut buffer = [0; 4096];
    let (mut start, mut held) = (0, 0);
    file.rewind()?;
    loop {
        let length = match file.read(&mut buffer[held..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(0) => return Ok(None),
            read => held + read?,
        };
        if let Some(at) = buffer[..length].windows(text.len()).position(|it| it == text) {
            return Ok(Some(start + at as u64));
        }
        // It may begin at the end of these.
        held = length.min(text.len() - 1);
        buffer.copy_within(length - held..length, 0);
        start += (length - held) as u64;
    }
}

/// Holds SIGXFSZ back from this thread, with which the kernel ends a process that writes beyond
/// RLIMIT_FSIZE, so that the write is an error.
#[inline]
fn without_sigxfsz<T>(work: impl FnOnce() -> T) -> T {
    #[cfg(target_os = "linux")]
    // SAFETY: sets of signals are plain data; the calls read and fill those given to them. One of
    // these signals that was waiting before is left waiting.
    return unsafe {
        let [mut signal, mut waiting, mut before]: [libc::sigset_t; 3] = std::mem::zeroed();
        libc::sigaddset(&mut signal, libc::SIGXFSZ);
        libc::sigpending(&mut waiting);
        libc::pthread_sigmask(libc::SIG_BLOCK, &signal, &mut before);
        let result = work();
        if libc::sigismember(&waiting, libc::SIGXFSZ) != 1 {
            let at_once = std::mem::zeroed();
            libc::sigtimedwait(&signal, ptr::null_mut(), &at_once);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, ptr::null_mut());
        result
    };
    #[cfg(not(target_os = "linux"))]
    work()
}

/// Whether jemalloc was built and started with heap profiles.
#[inline]
fn profiling_is_on() -> Result<(), Error> {
    // SAFETY: both controls are `bool`.
    let (built, started) = unsafe { (read(c"config.prof")?, read(c"opt.prof").unwrap_or(false)) };
    match (built, started) {
        (false, _) => Err(Error::MissingFeature("profiling")),
        (true, false) => Err(Error::MissingOption("prof:true")),
        (true, true) => Ok(()),
    }
}

/// The controls that safe code may write, with their types; `*` stands for an arena's number. The
/// others take a pointer, or memory that is in use, or a number of which not every jemalloc rejects
/// all that are wrong (`max_background_threads`, `arena.<i>.retain_grow_limit`, `prof.reset`, for
/// which there is [`reset_profile`]), or what another thread reads without a lock
/// (`thread.prof.name`), or have allocations write files (`prof.gdump`).
const WRITABLE: &[(&str, CType)] = &[
    ("epoch", CType::U64),
    ("background_thread", CType::Bool),
    ("thread.arena", CType::Unsigned),
    ("thread.tcache.enabled", CType::Bool),
    ("thread.prof.active", CType::Bool),
    ("prof.active", CType::Bool),
    ("prof.thread_active_init", CType::Bool),
    ("arenas.dirty_decay_ms", CType::SignedSize),
    ("arenas.muzzy_decay_ms", CType::SignedSize),
    ("arena.*.dirty_decay_ms", CType::SignedSize),
    ("arena.*.muzzy_decay_ms", CType::SignedSize),
    ("arena.*.oversize_threshold", CType::Size),
];

/// The controls that safe code may call.
const CALLABLE: &[&str] = &[
    "thread.tcache.flush",
    "thread.idle",
    "thread.peak.reset",
    "prof.reset",
    "stats.mutexes.reset",
    "arena.*.decay",
    "arena.*.purge",
];

/// The controls that are a C string which stays, beside options. `thread.prof.name` does not: an
/// allocation between reading and copying it may free it.
const TEXTS: &[&str] = &["version", "config.malloc_conf"];

/// Whether the control `name` is the one that the pattern means. The numbers from
/// `MALLOCX_ARENA_LIMIT` on, which stand for no single arena, are none.
#[inline]
fn is_control(pattern: &str, name: &str) -> bool {
    let mut parts = name.split('.');
    pattern.split('.').all(|part| match parts.next() {
        Some(number) if part == "*" => number.parse::<u16>().is_ok_and(|number| number < 4095),
        name => name == Some(part),
    }) && parts.next().is_none()
}

/// Reads any control by its name.
#[inline]
pub(crate) fn read_control<T: ControlValue>(name: &str) -> Result<T, Error> {
    let is_text = TEXTS.contains(&name)
        || name.strip_prefix("opt.").is_some_and(|name| {
            KEYS.iter().any(|key| key.name == name && matches!(key.c_type(), CType::Text))
        });
    // jemalloc looks up more arenas than it has, and before 5.3.1 one more size class.
    let mut parts = name.split('.');
    let arena = parts.next() == Some("arena");
    if arena && !is_control("arena.*", &format!("arena.{}", parts.next().unwrap_or_default())) {
        return Err(Error::UnknownControl);
    }
    let has_class = |(table, index): (&str, &str)| {
        let classes = match table {
            "bin" | "bins" => c"arenas.nbins",
            "lextent" | "lextents" => c"arenas.nlextents",
            _ => return true,
        };
        // SAFETY: both controls are `unsigned`.
        let classes = unsafe { read::<u32>(classes) };
        matches!((index.parse::<u32>(), classes), (Ok(index), Ok(classes)) if index < classes)
    };
    if !name.split('.').zip(name.split('.').skip(1)).all(has_class) {
        return Err(Error::UnknownControl);
    }
    // Some of these jemalloc reads through a null pointer where it does not count.
    // SAFETY: the control is a `bool`.
    if name.starts_with("stats.") && !unsafe { read(c"config.stats") }.unwrap_or(false) {
        return Err(Error::MissingFeature("stats"));
    }
    // jemalloc copies an arena's name to where the value read points, looks a pointer up, follows
    // one that is null under `tcache:false`, and the experimental controls take structs.
    if (arena && name.ends_with(".name"))
        || matches!(name, "arenas.lookup" | "thread.tcache.max")
        || name.starts_with("experimental.")
    {
        return Err(Error::UnsafeControl);
    }
    // Asked for one more than 4,095 arenas, jemalloc reads beyond the end of its list, and may write
    // there; and with thousands some functions need more than a small stack. Threads may ask at
    // once.
    // SAFETY: the control is `unsigned`.
    if name == "arenas.create" && unsafe { read::<u32>(c"arenas.narenas") }? >= 1000 {
        return Err(Error::Jemalloc(ENOMEM));
    }
    // To read these two is to call them, and jemalloc says nothing of it.
    if matches!(name, "stats.mutexes.reset" | "prof.log_stop") {
        return Err(Error::Jemalloc(EPERM));
    }
    if matches!(T::TYPE, CType::Text) && !is_text {
        return Err(Error::WrongType);
    }
    // SAFETY: jemalloc checks the size. Values of that size are good for each of the number types,
    // jemalloc's `bool` is C's, and a text has just been found to be one.
    unsafe { Ok(T::from_raw(read(&control_name(name)?)?)) }
}

/// Writes a control that is safe to write.
#[inline]
pub(crate) fn write_control<T: ControlValue>(name: &str, value: T) -> Result<(), Error> {
    if name == "background_thread" && cfg!(target_env = "musl") {
        return Err(Error::UnsupportedTarget); // tikv-jemalloc-sys: NO_BG_THREAD_TARGETS
    }
    match WRITABLE.iter().find(|(pattern, _)| is_control(pattern, name)) {
        None => Err(Error::UnsafeControl),
        Some((_, c_type)) if *c_type != T::TYPE => Err(Error::WrongType),
        // SAFETY: the type is the control's, and any value of it is safe, jemalloc says which are
        // good.
        Some(_) => unsafe { write_any_control(name, value) }.inspect_err(|_| {
            if name == "background_thread" {
                let _ = background_threads(false); // see there
            }
        }),
    }
}

/// Writes any control.
///
/// # Safety
///
/// The control may be given this value.
#[inline]
pub(crate) unsafe fn write_any_control<T: ControlValue>(name: &str, value: T) -> Result<(), Error> {
    let name = control_name(name)?;
    // SAFETY: the caller's promise.
    value.with_raw(|raw| unsafe { write(&name, raw) })?
}

/// Calls a control that is safe to call.
#[inline]
pub(crate) fn call_control(name: &str) -> Result<(), Error> {
    let is_all = |name: &str| {
        name.strip_prefix("arena.4096.").is_some_and(|name| matches!(name, "decay" | "purge"))
    };
    if !is_all(name) && !CALLABLE.iter().any(|pattern| is_control(pattern, name)) {
        return Err(Error::UnsafeControl);
    }
    // SAFETY: the control has no value and does nothing that safe code could notice.
    unsafe { call_any_control(name) }
}

/// Calls any control.
///
/// # Safety
///
/// The control may be called.
#[inline]
pub(crate) unsafe fn call_any_control(name: &str) -> Result<(), Error> {
    // SAFETY: the caller's promise.
    unsafe { call(&control_name(name)?) }
}

#[inline]
fn control_name(name: &str) -> Result<CString, Error> {
    CString::new(name).map_err(|_| Error::UnknownControl)
}

// The same numbers on every Unix.
const EPERM: c_int = 1;
const ENOENT: c_int = 2;
const ENOMEM: c_int = 12;
const EINVAL: c_int = 22;

/// # Safety
///
/// `T` is the control's type.
#[inline]
unsafe fn read<T>(name: &CStr) -> Result<T, Error> {
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: the caller's promise; a control that answers without an error has written the whole
    // value, or nothing, and zero is one of any control's type.
    unsafe {
        match mallctl::<_, ()>(name, Some(&mut value), None) {
            Ok(()) => Ok(value.assume_init()),
            Err(Error::Jemalloc(EINVAL)) => Err(Error::WrongType),
            Err(error) => Err(error),
        }
    }
}

/// # Safety
///
/// `T` is the control's type, and the control may be given this value.
#[inline]
unsafe fn write<T>(name: &CStr, mut value: T) -> Result<(), Error> {
    // SAFETY: the caller's promise.
    unsafe { mallctl::<(), _>(name, None, Some(&mut value)) }
}

/// # Safety
///
/// The control has no value, and may be called.
#[inline]
unsafe fn call(name: &CStr) -> Result<(), Error> {
    // SAFETY: the caller's promise.
    unsafe { mallctl::<(), ()>(name, None, None) }
}

/// Reads a value, writes one, both or neither:
/// <https://jemalloc.net/jemalloc.3.html#mallctl_namespace>.
///
/// # Safety
///
/// `O` and `N` are the types that the control has, and it may be given this value.
#[inline]
unsafe fn mallctl<O, N>(
    name: &CStr,
    old: Option<&mut O>,
    new: Option<&mut N>,
) -> Result<(), Error> {
    let mut old_len = size_of::<O>();
    let old_len_ptr = if old.is_some() { ptr::from_mut(&mut old_len) } else { ptr::null_mut() };
    let new_len = if new.is_some() { size_of::<N>() } else { 0 };
    // SAFETY: the name is a C string, and the lengths are the values'. jemalloc checks them against
    // the control.
    let errno = unsafe {
        ffi::mallctl(
            name.as_ptr(),
            old.map_or(ptr::null_mut(), |old| ptr::from_mut(old).cast()),
            old_len_ptr,
            new.map_or(ptr::null_mut(), |new| ptr::from_mut(new).cast()),
            new_len,
        )
    };
    match errno {
        0 => Ok(()),
        ENOENT => Err(Error::UnknownControl),
        _ => Err(Error::Jemalloc(errno)),
    }
}

/// Makes `dlclose` leave this library where it is, as `-z nodelete` would, which no dependency can
/// hand to the linker.
///
/// jemalloc never gives its arenas and its thread-specific key back. Unloaded, it would leave both
/// behind: a thread that ends later calls a destructor that is no longer there, and the thousandth
/// load finds no key left.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub extern "C" fn stay_loaded() {
    const RTLD_NODELETE: c_int = 0x1000; // not in libc for Linux

    let mut info = MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: the address is in the library that is meant, and the name that `dladdr` gives is a C
    // string.
    unsafe {
        if libc::dladdr(stay_loaded as *const c_void, info.as_mut_ptr()) != 0 {
            let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD | RTLD_NODELETE;
            libc::dlopen(info.assume_init().dli_fname, flags);
        }
    }
}
