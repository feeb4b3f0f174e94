#![doc = include_str!("../README.md")]
#![warn(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]

// How it works, in the order of a build:
//
// 1. Cargo.toml leaves jemalloc out of the graph where it cannot be wanted.
// 2. build.rs asks the rule (rule.rs) for a veto of the whole build, and which jemalloc is linked.
// 3. The macros (macros.rs) expand in the root of an artifact, where Cargo's variables tell what it
//    is. choice.rs completes the rule there, as a constant, and refuses what cannot work.
// 4. switch.rs makes a type of that constant, implemented once for each allocator with the plain
//    functions of jemalloc.rs and system.rs, which know nothing of it.

#[macro_use]
mod macros;

mod choice;
pub mod conf;
mod handle;
mod in_place;
#[cfg(alloc_switch_jemalloc)]
mod jemalloc;
#[doc(hidden)]
pub mod rule;
mod self_check;
mod switch;
mod system;

pub use choice::Choice;
pub use handle::{
    ControlValue, Error, Handle, Options, ReportForm, SelfCheckError, Stats, ThreadStats,
};
pub use in_place::InPlaceAlloc;
pub use rule::{Allocator, Artifact, Reason};
pub use switch::Switch;

/// What the macros expand to. Not part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::choice::{
        choose, is_ambiguous, refuse, refuse_conf, stays_loaded, Note, Notice, PAGE_SIZE,
    };
    pub use crate::conf::{join, joined_len};
    pub use crate::in_place::custom;
    #[cfg(all(alloc_switch_jemalloc, target_os = "linux", target_env = "gnu"))]
    pub use crate::jemalloc::stay_loaded;
    pub use crate::rule::{Argument, Caller, Variables};
    pub use crate::switch::{seat, witness, Decided, Seat, Seated};
}
