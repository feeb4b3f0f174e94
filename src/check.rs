//! What this build is, and what cannot work in it: refused in a sentence while the artifact
//! compiles. And the note that an artifact carries.

use crate::chosen::{choose, code, Choice};
use crate::options::put;
use crate::rule::{Allocator, Argument, Artifact, BuildFacts, Caller, Reason};

// What `build.rs` has found out: FOUND, VERSION and PAGE_SIZE_WARNING.
include!(concat!(env!("OUT_DIR"), "/facts.rs"));

/// The facts of this build. The cfgs that can be seen from here are asked here: Bazel, Buck2 and
/// Nix do not show them to a build script, and Cargo shows it those of an outer build.
pub(crate) const FACTS: BuildFacts = {
    let facts = BuildFacts {
        cfg_system: cfg!(alloc_switch = "system"),
        cfg_jemalloc: cfg!(alloc_switch = "jemalloc"),
        feature_jemalloc: cfg!(feature = "jemalloc"),
        miri: cfg!(miri),
        kani: cfg!(kani),
        fuzzing: cfg!(fuzzing),
        ..FOUND
    };
    if facts.veto(Argument::Default).is_none() && FOUND.veto(Argument::Default).is_some() {
        panic!(
            "alloc-switch: the build script and rustc see different cfgs: unset the inherited \
             CARGO_CFG_MIRI and CARGO_ENCODED_RUSTFLAGS"
        );
    }
    facts
};

const IN_LIBRARIES: bool = cfg!(feature = "jemalloc-in-libraries");

/// The answer of the rule for one artifact, from which all else follows.
#[derive(Clone, Copy)]
pub struct Decision {
    caller: Caller,
    choice: Choice,
}

impl Decision {
    /// Asks the rule. `T` is the author's type.
    pub const fn new<T>(caller: Caller) -> Self {
        Decision { caller, choice: choose::<T>(caller) }
    }

    /// The decision as a number, from which `Code` makes a type.
    pub const fn code(self) -> u8 {
        code(self.choice.allocator(), self.choice.reason())
    }

    const fn is_library(self) -> bool {
        matches!(self.caller.artifact, Artifact::Library | Artifact::ProcMacro)
    }

    /// Panics, at compile time, where the artifact could not live with its allocator.
    pub const fn check(self) {
        let Decision { caller, choice } = self;
        let says_jemalloc = matches!(caller.argument, Argument::Jemalloc);
        if says_jemalloc && matches!(caller.artifact, Artifact::ProcMacro) {
            panic!(
                "alloc-switch: a procedural macro cannot have jemalloc, because rustc links no \
                 allocator of its own into it: write `global_allocator!()`"
            );
        }
        // Off the list too: the author may build there, and somebody else on it.
        let in_view = choice.is_jemalloc() || matches!(choice.reason(), Reason::UnlistedTarget);
        if says_jemalloc && self.is_library() && in_view && !IN_LIBRARIES {
            panic!(
                "alloc-switch: this is a library, in which `jemalloc` is not permitted: write \
                 `global_allocator!(executable)` if it is linked into programs; if it is loaded as \
                 a shared library (cdylib), turn on the feature `jemalloc-in-libraries`"
            );
        }
        if self.is_library() && !choice.is_jemalloc() && cfg!(alloc_switch_malloc) {
            panic!(
                "alloc-switch: the feature `override-malloc` puts a private jemalloc behind this \
                 library artifact's malloc: build the library without it, or write \
                 `global_allocator!(jemalloc)` and turn on the feature `jemalloc-in-libraries`"
            );
        }
    }

    /// Refuses `conf` where the policy gives the system allocator: the library would export
    /// jemalloc's options for nothing. With a veto too, so that every build says the same.
    pub const fn check_conf(self) {
        match (self.caller.argument, self.caller.artifact) {
            (_, Artifact::ProcMacro) => {
                panic!("alloc-switch: `conf` has no effect in a procedural macro: remove it")
            }
            (Argument::Default, Artifact::Library) => panic!(
                "alloc-switch: `conf` has no effect in a library, which gets the system allocator: \
                 write `global_allocator!(executable, conf = …)` if it is linked into programs; if \
                 it is loaded as a shared library (cdylib), write `global_allocator!(jemalloc, \
                 conf = …)` and turn on the feature `jemalloc-in-libraries`"
            ),
            (Argument::Default, Artifact::NotBuiltByCargo) if !FACTS.cfg_jemalloc => panic!(
                "alloc-switch: `conf` has no effect in an artifact that Cargo does not build, \
                 which gets the system allocator: write `global_allocator!(executable, conf = …)` \
                 if it is a program"
            ),
            _ => {}
        }
    }

    /// Whether a library's author has said neither what it is for nor which allocator it gets.
    pub const fn says_nothing(self) -> bool {
        let Caller { argument, artifact, .. } = self.caller;
        matches!((argument, artifact), (Argument::Default, Artifact::Library))
    }

    /// How many functions the loader calls to keep a library loaded: one where jemalloc may be in
    /// it. A crate that says it is linked into executables may be wrong.
    pub const fn stays_loaded(self) -> usize {
        let in_library = self.is_library() || matches!(self.caller.argument, Argument::Executable);
        (IN_LIBRARIES && in_library && self.choice.is_jemalloc()) as usize
    }

    /// The text of the note, in pieces: the line that the artifact prints, but for the author's
    /// type, which is as the macro has it, in `type_text`. Empty for a library on the system
    /// allocator.
    pub const fn note(self, type_text: &[&'static str]) -> [&'static str; 6] {
        let reason = self.choice.reason().as_str();
        match (self.choice.allocator(), self.choice.version()) {
            (Allocator::System, _) if self.is_library() => [""; 6],
            (Allocator::System, _) => ["system", "", "", " (", reason, ")"],
            (_, Some(version)) => ["jemalloc", " ", version, " (", reason, ")"],
            (Allocator::Jemalloc, None) => ["jemalloc", "", "", " (", reason, ")"],
            (Allocator::Fallback | Allocator::Custom, _) => {
                [type_text[0], "", "", " (", reason, ")"]
            }
        }
    }
}

/// What the compiler tells the author of a library that says nothing.
pub struct LibraryWarning<const SAYS_NOTHING: bool>;

impl LibraryWarning<true> {
    #[deprecated(
        note = "write `system` as the macro's argument if other programs load this library or \
                depend on it, or `executable` if it is only ever linked into programs of yours, \
                and never in a cdylib, which then could not be loaded"
    )]
    /// Deprecated.
    pub const THIS_LIBRARY_GETS_THE_SYSTEM_ALLOCATOR: () = ();
}

impl LibraryWarning<false> {
    /// Not deprecated.
    pub const THIS_LIBRARY_GETS_THE_SYSTEM_ALLOCATOR: () = ();
}

/// Makes `dlclose` leave this library where it is, as `-z nodelete` would, which no dependency can
/// hand to the linker.
///
/// jemalloc never gives its arenas and its thread-specific key back. Unloaded, it would leave both
/// behind: a thread that ends later calls a destructor that is no longer there, and the thousandth
/// load finds no key left.
pub extern "C" fn stay_loaded() {
    #[cfg(all(feature = "jemalloc-in-libraries", target_os = "linux", target_env = "gnu"))]
    // SAFETY: the address is in the library that is meant; `dladdr` fills `info` if it answers
    // anything but 0, and the name in it is a C string.
    unsafe {
        const RTLD_NODELETE: libc::c_int = 0x1000; // not in libc for Linux
        let mut info = std::mem::MaybeUninit::<libc::Dl_info>::uninit();
        if libc::dladdr(stay_loaded as *const libc::c_void, info.as_mut_ptr()) != 0 {
            let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD | RTLD_NODELETE;
            libc::dlopen(info.assume_init().dli_fname, flags);
        }
    }
}

/// How many bytes a note has for these pieces: their length, rounded up to four.
pub const fn note_space(text: [&str; 6]) -> usize {
    let [name, space, version, before, reason, after] = text;
    let len = name.len() + space.len() + version.len() + before.len() + reason.len() + after.len();
    len.div_ceil(4) * 4
}

/// The note as plain data, which is an ELF note too. `SPACE` is [`note_space`].
#[repr(C)]
pub struct Note<const SPACE: usize> {
    name_len: u32,
    text_len: u32,
    kind: u32,
    name: [u8; 16],
    text: [u8; SPACE],
}

impl<const SPACE: usize> Note<SPACE> {
    /// The note of these pieces.
    pub const fn new(pieces: [&str; 6]) -> Self {
        let (mut text, mut at, mut i) = ([0; SPACE], 0, 0);
        while i < pieces.len() {
            text = put(text, at, pieces[i].as_bytes());
            at += pieces[i].len();
            i += 1;
        }
        let name = *b"alloc-switch\0\0\0\0";
        Note { name_len: 13, text_len: at as u32, kind: 1, name, text }
    }
}
