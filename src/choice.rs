//! The rule with this build's facts, and what cannot work: refused in a sentence while the artifact
//! compiles.

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::rule::{decide, falls_back, Allocator, Argument, Artifact, Caller, Reason};

/// What `build.rs` has found out.
#[allow(missing_docs)]
mod facts {
    #[allow(unused_imports)] // unless there is a veto
    use crate::rule::Reason;

    include!(concat!(env!("OUT_DIR"), "/facts.rs"));
}

#[doc(hidden)]
#[allow(deprecated)] // what it says is for whoever calls a macro
pub use facts::PAGE_SIZE;

/// The version of the jemalloc of this build. `None` for the system allocator, and for a jemalloc
/// that was built elsewhere and named with `JEMALLOC_OVERRIDE`.
pub(crate) const VERSION: Option<&str> = facts::VERSION;

const CFG_JEMALLOC: bool = cfg!(alloc_switch = "jemalloc");
const IN_LIBRARIES: bool = cfg!(feature = "jemalloc-in-libraries");

/// The veto of this build. The cfgs that can be seen from here are asked here: Bazel, Buck2 and Nix
/// do not show them to a build script, and Cargo shows it those of an outer build.
const VETO: Option<Reason> = {
    let seen = if cfg!(alloc_switch = "system") {
        Some(Reason::CfgSystem)
    } else if cfg!(not(feature = "jemalloc")) {
        Some(Reason::FeatureOff)
    } else if cfg!(miri) {
        Some(Reason::Miri)
    } else if cfg!(kani) {
        Some(Reason::Kani)
    } else if cfg!(fuzzing) {
        Some(Reason::Fuzzing)
    } else {
        None
    };
    match (seen, facts::VETO) {
        (Some(reason), _) => Some(reason),
        (
            None,
            Some(
                Reason::CfgSystem
                | Reason::FeatureOff
                | Reason::Miri
                | Reason::Kani
                | Reason::Fuzzing,
            ),
        ) => panic!(
            "alloc-switch: the build script was told of a cfg or feature (CARGO_CFG_MIRI, \
             CARGO_ENCODED_RUSTFLAGS) that the compiler was not: start the build without the \
             variables that an outer one has left in the environment"
        ),
        (None, veto) => veto,
    }
};

/// Which allocator an artifact got, and why.
///
/// [`choice!`](crate::choice!), [`Switch::choice`](crate::Switch::choice) and
/// [`Handle::choice`](crate::Handle::choice) give it. `Display` makes a line fit for `--version`:
///
/// ```
/// # use alloc_switch::Choice;
/// const ALLOCATOR: Choice = alloc_switch::choice!(system);
/// assert_eq!(ALLOCATOR.to_string(), "system (global_allocator!(system))");
/// ```
///
/// An executable prints `jemalloc 5.3.1 (executable artifact)`, a library
/// `system (library artifact)`, and an executable with a fallback, where jemalloc is not to be had,
/// `mimalloc::MiMalloc (target not on the jemalloc list)`.
#[derive(Clone, Copy)]
pub struct Choice {
    reason: Reason,
    /// The type of the fallback, where that is the choice. A function, because the name of a type
    /// is no constant yet.
    fallback: Option<fn() -> &'static str>,
}

impl Choice {
    /// The decision that a reason stands for.
    pub const fn new(reason: Reason) -> Self {
        Choice { reason, fallback: None }
    }

    /// The decision for a fallback of type `F`.
    pub(crate) const fn fallback<F>(reason: Reason) -> Self {
        Choice { reason, fallback: Some(std::any::type_name::<F>) }
    }

    /// The allocator.
    pub const fn allocator(self) -> Allocator {
        match self.fallback {
            Some(_) => Allocator::Fallback,
            None => self.reason.allocator(),
        }
    }

    /// Why it is this one.
    pub const fn reason(self) -> Reason {
        self.reason
    }

    /// Whether the allocator is jemalloc.
    pub const fn is_jemalloc(self) -> bool {
        matches!(self.allocator(), Allocator::Jemalloc)
    }

    /// The version of jemalloc that was compiled, such as `5.3.1`. `None` for another allocator,
    /// and for a jemalloc that was built elsewhere and named with `JEMALLOC_OVERRIDE`.
    pub const fn version(self) -> Option<&'static str> {
        match self.allocator() {
            Allocator::Jemalloc => VERSION,
            _ => None,
        }
    }

    /// The allocator's name: `jemalloc`, `system`, or the type of the fallback as rustc writes it,
    /// such as `mimalloc::MiMalloc`.
    pub fn name(self) -> &'static str {
        match self.fallback {
            Some(name) => name(),
            None if self.is_jemalloc() => "jemalloc",
            None => "system",
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        if let Some(version) = self.version() {
            write!(f, " {version}")?;
        }
        write!(f, " ({})", self.reason.as_str())
    }
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Choice").field("name", &self.name()).field("reason", &self.reason).finish()
    }
}

impl PartialEq for Choice {
    fn eq(&self, other: &Self) -> bool {
        self.reason == other.reason && self.name() == other.name()
    }
}

impl Eq for Choice {}

impl Hash for Choice {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.reason, self.name()).hash(state);
    }
}

/// The rule for a caller that may name a fallback.
#[doc(hidden)]
pub const fn choose(caller: Caller, fallback: Option<fn() -> &'static str>) -> Choice {
    let reason = decide(caller, VETO, CFG_JEMALLOC);
    let fallback = if falls_back(caller, VETO, CFG_JEMALLOC) { fallback } else { None };
    Choice { reason, fallback }
}

/// Panics, at compile time, where the artifact could not live with its allocator.
#[doc(hidden)]
pub const fn refuse(caller: Caller) {
    let says_jemalloc = matches!(caller.argument, Argument::Jemalloc);
    let is_library = matches!(caller.artifact, Artifact::Library | Artifact::ProcMacro);
    if says_jemalloc && matches!(caller.artifact, Artifact::ProcMacro) {
        panic!(
            "alloc-switch: a procedural macro cannot have jemalloc, because rustc links no \
             allocator of its own into it: write `global_allocator!()`"
        );
    }
    let reason = decide(caller, VETO, CFG_JEMALLOC);
    let jemalloc = matches!(reason.allocator(), Allocator::Jemalloc);
    // On every target or on none, so that nobody learns it from another's build.
    let jemalloc_or_fallback = jemalloc || falls_back(caller, VETO, CFG_JEMALLOC);
    if is_library && jemalloc_or_fallback && !IN_LIBRARIES {
        panic!(
            "alloc-switch: jemalloc in a library artifact needs the feature \
             `jemalloc-in-libraries`: turn it on, or leave this library to the system allocator \
             with `global_allocator!(system)`"
        );
    }
    if is_library && !jemalloc && cfg!(alloc_switch_malloc) {
        panic!(
            "alloc-switch: the feature `override-malloc` puts a private jemalloc behind this \
             library artifact's malloc: build the library without it, or write \
             `global_allocator!(jemalloc)` and turn on the feature `jemalloc-in-libraries`"
        );
    }
}

/// Refuses `conf` where the policy gives the system allocator. jemalloc's options are a symbol, and
/// the library would export it for nothing. The build's vetoes do not matter here, so that a crate
/// compiles on every target or on none.
#[doc(hidden)]
pub const fn refuse_conf(caller: Caller) {
    match decide(caller, None, CFG_JEMALLOC) {
        Reason::Library | Reason::ProcMacro => panic!(
            "alloc-switch: `conf` has no effect in a library artifact, which gets the system \
             allocator: remove it, or write `global_allocator!(jemalloc, conf = …)` and turn on \
             the feature `jemalloc-in-libraries`"
        ),
        Reason::Unknown => panic!(
            "alloc-switch: `conf` has no effect in an artifact that Cargo does not build, which \
             gets the system allocator: remove it, or write `global_allocator!(jemalloc, conf = …)`"
        ),
        _ => {}
    }
}

/// Whether a crate leaves open if it is a library for other programs or linked into executables:
/// Cargo's variables describe the rlib, and its author has said neither.
#[doc(hidden)]
pub const fn is_ambiguous(caller: Caller) -> bool {
    matches!((caller.argument, caller.artifact), (Argument::Nothing, Artifact::Library))
}

/// What the compiler tells an author whose crate is ambiguous, and no other.
#[doc(hidden)]
pub struct Notice<const AMBIGUOUS: bool>;

impl Notice<true> {
    #[deprecated(
        note = "this crate is a library, and gets the system allocator: write `executable` as the \
                macro's argument if it is linked into executables, or `system` if it is a library \
                for other programs"
    )]
    pub const LIBRARY: () = ();
}

impl Notice<false> {
    pub const LIBRARY: () = ();
}

/// Whether jemalloc may be in a library, which then cannot be unloaded. A crate that says it is
/// linked into executables may be wrong.
#[doc(hidden)]
pub const fn stays_loaded(caller: Caller) -> bool {
    let is_library = matches!(caller.artifact, Artifact::Library)
        || matches!(caller.argument, Argument::Executable);
    is_library && matches!(decide(caller, VETO, CFG_JEMALLOC).allocator(), Allocator::Jemalloc)
}

/// The text of the note that an artifact carries in its file: the line that it prints, cut at 128
/// bytes.
#[doc(hidden)]
pub struct Note {
    text: [u8; 128],
    is_present: bool,
}

impl Note {
    /// `fallback` holds the name of its type, if there is one.
    pub const fn new(caller: Caller, fallback: &[&str]) -> Self {
        let choice = choose(caller, None);
        let name = if falls_back(caller, VETO, CFG_JEMALLOC) && !fallback.is_empty() {
            fallback[0]
        } else if choice.is_jemalloc() {
            "jemalloc"
        } else {
            "system"
        };
        let (before, version) = match choice.version() {
            Some(version) => (" ", version),
            None => ("", ""),
        };
        let parts = [name, before, version, " (", choice.reason().as_str(), ")"];
        let mut text = [0; 128];
        let (mut part, mut at) = (0, 0);
        while part < parts.len() {
            let (bytes, mut i) = (parts[part].as_bytes(), 0);
            while i < bytes.len() && at < text.len() {
                text[at] = bytes[i];
                (i, at) = (i + 1, at + 1);
            }
            part += 1;
        }
        let is_library = matches!(caller.artifact, Artifact::Library | Artifact::ProcMacro);
        Note { text, is_present: !is_library || choice.is_jemalloc() }
    }

    /// For the assembler: whether there is a note at all.
    pub const fn is_present(&self) -> u8 {
        self.is_present as u8
    }

    /// Eight bytes of the text, as a number that is stored as these bytes.
    pub const fn word(&self, n: usize) -> u64 {
        let (mut word, mut i) = ([0; 8], 0);
        while i < 8 {
            word[i] = self.text[n * 8 + i];
            i += 1;
        }
        u64::from_ne_bytes(word) // in a constant these are the target's
    }
}
