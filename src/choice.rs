//! A decision, as a constant that a program can print.

use core::fmt;

use crate::decide::{decide, Allocator, Artifact, Reason};

/// The veto of this build, from `build.rs`. Bazel, Buck2 and Nix do not show a build script the cfgs given to rustc, so
/// the three that are visible from here are asked once more.
pub(crate) const VETO: Option<Reason> = {
    #[allow(unused_imports)] // the file says `None` or `Some(…)`
    use crate::decide::Reason::*;
    match include!(concat!(env!("OUT_DIR"), "/veto.rs")) {
        None if cfg!(alloc_switch = "system") => Some(Reason::CfgSystem),
        None if cfg!(miri) => Some(Reason::Miri),
        None if cfg!(fuzzing) => Some(Reason::Fuzzing),
        veto => veto,
    }
};

/// The version of the jemalloc of this build, from `build.rs`.
const VERSION: Option<&str> = include!(concat!(env!("OUT_DIR"), "/version.rs"));

/// Which allocator an artifact got, and why.
///
/// [`choice!`](crate::choice!) and [`Switch::choice`](crate::Switch::choice) give it. `Display` makes a line fit for
/// `--version`:
///
/// ```
/// # use alloc_switch::Choice;
/// const ALLOCATOR: Choice = alloc_switch::choice!(system);
/// assert_eq!(ALLOCATOR.to_string(), "system (global_allocator!(system))");
/// ```
///
/// An executable prints `jemalloc 5.3.1 (executable artifact)`, a library `system (library artifact)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Choice(Reason);

impl Choice {
    /// The decision that a reason stands for.
    pub const fn new(reason: Reason) -> Self {
        Choice(reason)
    }

    /// The allocator.
    pub const fn allocator(self) -> Allocator {
        self.0.allocator()
    }

    /// Why it is this one.
    pub const fn reason(self) -> Reason {
        self.0
    }

    /// Whether the allocator is jemalloc.
    pub const fn is_jemalloc(self) -> bool {
        matches!(self.allocator(), Allocator::Jemalloc)
    }

    /// The version of jemalloc that was compiled, such as `5.3.1`. `None` for the system allocator, and for a jemalloc
    /// that was built elsewhere and named with `JEMALLOC_OVERRIDE`.
    pub const fn version(self) -> Option<&'static str> {
        match self.allocator() {
            Allocator::Jemalloc => VERSION,
            Allocator::System => None,
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.allocator() {
            Allocator::Jemalloc => "jemalloc",
            Allocator::System => "system",
        })?;
        if let Some(version) = self.version() {
            write!(f, " {version}")?;
        }
        write!(f, " ({})", self.0.as_str())
    }
}

/// The rule with the facts of this build filled in.
#[doc(hidden)]
pub const fn choose(argument: Option<Allocator>, artifact: Artifact) -> Choice {
    let (cfg_jemalloc, in_libraries) =
        (cfg!(alloc_switch = "jemalloc"), cfg!(feature = "jemalloc-in-libraries"));
    Choice(decide(argument, VETO, cfg_jemalloc, in_libraries, artifact))
}
