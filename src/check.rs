//! What this build is, and what cannot work in it: refused in a sentence while the artifact
//! compiles. And the note that an artifact carries.

use crate::chosen::Choice;
use crate::rule::{Allocator, Argument, Artifact, BuildFacts, Caller, Reason};

/// What `build.rs` has found out.
#[allow(missing_docs)]
mod found {
    include!(concat!(env!("OUT_DIR"), "/facts.rs"));
}

#[doc(hidden)]
#[allow(deprecated)] // for whoever calls a macro
pub use found::PAGE_SIZE_WARNING;

/// The version of the jemalloc of this build. `None` for the system allocator, and for a jemalloc
/// that was built elsewhere and named with `JEMALLOC_OVERRIDE`.
pub(crate) const VERSION: Option<&str> = found::VERSION;

/// The facts of this build. The cfgs that can be seen from here are asked here: Bazel, Buck2 and Nix
/// do not show them to a build script, and Cargo shows it those of an outer build.
pub(crate) const FACTS: BuildFacts = {
    let facts = BuildFacts {
        cfg_system: cfg!(alloc_switch = "system"),
        cfg_jemalloc: cfg!(alloc_switch = "jemalloc"),
        feature_jemalloc: cfg!(feature = "jemalloc"),
        miri: cfg!(miri),
        kani: cfg!(kani),
        fuzzing: cfg!(fuzzing),
        sanitizer: found::SANITIZER,
        prefer_dynamic: found::PREFER_DYNAMIC,
        target_allowed: found::TARGET_ALLOWED,
    };
    if facts.veto(false).is_none() && cfg!(not(alloc_switch_jemalloc)) {
        panic!(
            "alloc-switch: the build script and rustc see different cfgs: unset the inherited \
             CARGO_CFG_MIRI and CARGO_ENCODED_RUSTFLAGS"
        );
    }
    facts
};

/// Panics, at compile time, where the artifact could not live with its allocator.
#[doc(hidden)]
pub const fn check(caller: Caller, choice: Choice) {
    let says_jemalloc = matches!(caller.argument, Argument::Jemalloc);
    if says_jemalloc && matches!(caller.artifact, Artifact::ProcMacro) {
        panic!(
            "alloc-switch: a procedural macro cannot have jemalloc, because rustc links no \
             allocator of its own into it: write `global_allocator!()`"
        );
    }
    // Off the list too, so that the author sees it first.
    let gets_jemalloc = choice.is_jemalloc() || matches!(choice.reason(), Reason::UnlistedTarget);
    let is_library = matches!(caller.artifact, Artifact::Library | Artifact::ProcMacro);
    if says_jemalloc && is_library && gets_jemalloc && cfg!(not(feature = "jemalloc-in-libraries"))
    {
        panic!(
            "alloc-switch: this is a library, in which `jemalloc` is not permitted: write \
             `global_allocator!(executable)` if it is linked into programs; if it is loaded as a \
             shared library (cdylib), turn on the feature `jemalloc-in-libraries`"
        );
    }
    if is_library && !choice.is_jemalloc() && cfg!(alloc_switch_malloc) {
        panic!(
            "alloc-switch: the feature `override-malloc` puts a private jemalloc behind this \
             library artifact's malloc: build the library without it, or write \
             `global_allocator!(jemalloc)` and turn on the feature `jemalloc-in-libraries`"
        );
    }
}

/// Refuses `conf` where the policy gives the system allocator: the library would export jemalloc's
/// options for nothing. It does not ask for vetoes, so that the author sees it first.
#[doc(hidden)]
pub const fn check_conf(caller: Caller) {
    match (caller.argument, caller.artifact) {
        (_, Artifact::ProcMacro) => panic!(
            "alloc-switch: `conf` has no effect in a procedural macro, which gets the system \
             allocator: remove it"
        ),
        (Argument::Default, Artifact::Library) => panic!(
            "alloc-switch: `conf` has no effect in a library, which gets the system allocator: \
             write `global_allocator!(executable, conf = …)` if it is linked into programs; if it \
             is loaded as a shared library (cdylib), write `global_allocator!(jemalloc, conf = …)` \
             and turn on the feature `jemalloc-in-libraries`"
        ),
        (Argument::Default, Artifact::NotBuiltByCargo) if !FACTS.cfg_jemalloc => panic!(
            "alloc-switch: `conf` has no effect in an artifact that Cargo does not build, which \
             gets the system allocator: write `global_allocator!(executable, conf = …)` if it is a \
             program"
        ),
        _ => {}
    }
}

/// Whether a library's author has said neither what it is for nor which allocator it gets.
#[doc(hidden)]
pub const fn says_nothing(caller: Caller) -> bool {
    matches!((caller.argument, caller.artifact), (Argument::Default, Artifact::Library))
}

/// What the compiler tells the author of a library that [`says_nothing`].
#[doc(hidden)]
pub struct LibraryWarning<const SAYS_NOTHING: bool>;

impl LibraryWarning<true> {
    #[deprecated(
        note = "write `system` as the macro's argument if other programs load this library or \
                depend on it, or `executable` if it is only ever linked into programs of yours, \
                and never in a cdylib, which then could not be loaded"
    )]
    pub const THIS_LIBRARY_GETS_THE_SYSTEM_ALLOCATOR: () = ();
}

impl LibraryWarning<false> {
    pub const THIS_LIBRARY_GETS_THE_SYSTEM_ALLOCATOR: () = ();
}

/// Whether jemalloc may be in a library, which then cannot be unloaded. A crate that says it is
/// linked into executables may be wrong.
#[doc(hidden)]
pub const fn stays_loaded(caller: Caller, choice: Choice) -> bool {
    choice.is_jemalloc()
        && (matches!(caller.artifact, Artifact::Library)
            || matches!(caller.argument, Argument::Executable))
}

/// Makes `dlclose` leave this library where it is, as `-z nodelete` would, which no dependency can
/// hand to the linker.
///
/// jemalloc never gives its arenas and its thread-specific key back. Unloaded, it would leave both
/// behind: a thread that ends later calls a destructor that is no longer there, and the thousandth
/// load finds no key left.
#[cfg(all(feature = "jemalloc-in-libraries", target_os = "linux", target_env = "gnu"))]
#[doc(hidden)]
pub extern "C" fn stay_loaded() {
    const RTLD_NODELETE: libc::c_int = 0x1000; // not in libc for Linux

    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: the address is in the library that is meant; `dladdr` fills `info` if it answers
    // anything but 0, and the name in it is a C string.
    unsafe {
        if libc::dladdr(stay_loaded as *const libc::c_void, info.as_mut_ptr()) != 0 {
            let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD | RTLD_NODELETE;
            libc::dlopen(info.assume_init().dli_fname, flags);
        }
    }
}

/// The line that an artifact prints, in pieces: for the note in its file. Empty for a library on the
/// system allocator, which has none. `author` holds the name of the author's type, if there is one.
#[doc(hidden)]
pub const fn note(caller: Caller, choice: Choice, author: &[&'static str]) -> [&'static str; 6] {
    let is_library = matches!(caller.artifact, Artifact::Library | Artifact::ProcMacro);
    let name = match choice.allocator() {
        Allocator::System if is_library => return [""; 6],
        Allocator::System => "system",
        Allocator::Jemalloc => "jemalloc",
        Allocator::Fallback | Allocator::Custom => author[0],
    };
    match choice.version() {
        Some(version) => [name, " ", version, " (", choice.reason().as_str(), ")"],
        None => [name, "", "", " (", choice.reason().as_str(), ")"],
    }
}

/// How many bytes the pieces are.
#[doc(hidden)]
pub const fn note_len(text: [&str; 6]) -> usize {
    let (mut len, mut piece) = (0, 0);
    while piece < text.len() {
        len += text[piece].len();
        piece += 1;
    }
    len
}

/// The note as plain data, which is an ELF note too. `SPACE` is the length of the text, rounded up
/// to four.
#[doc(hidden)]
#[repr(C)]
pub struct Note<const SPACE: usize> {
    name_len: u32,
    text_len: u32,
    kind: u32,
    name: [u8; 16],
    text: [u8; SPACE],
}

impl<const SPACE: usize> Note<SPACE> {
    pub const fn new(pieces: [&str; 6]) -> Self {
        let mut text = [0; SPACE];
        let (mut at, mut piece) = (0, 0);
        while piece < pieces.len() {
            let (bytes, mut i) = (pieces[piece].as_bytes(), 0);
            while i < bytes.len() {
                text[at] = bytes[i];
                (i, at) = (i + 1, at + 1);
            }
            piece += 1;
        }
        let name = *b"alloc-switch\0\0\0\0";
        Note { name_len: 13, text_len: at as u32, kind: 1, name, text }
    }
}
