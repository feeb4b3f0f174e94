// A documentation test counts as a library artifact, which `override-malloc` alone refuses.
#![cfg_attr(
    not(all(doctest, feature = "override-malloc", not(feature = "jemalloc-in-libraries"))),
    doc = include_str!("../README.md")
)]
#![no_std]
#![warn(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]

// How it works, in the order of a build:
//
// 1. Cargo.toml leaves jemalloc out of the graph where it cannot be wanted.
// 2. build.rs asks the rule in decide.rs for a veto of the whole build, and links jemalloc if there is none.
// 3. The macros (macros.rs) expand in the root of an artifact, where Cargo's variables tell what it is; choice.rs completes
//    the rule there, as a constant, and refuse.rs stops what cannot work.
// 4. switch.rs makes a type of that constant: `Jemalloc` or `System` under one name, with everything that the handle does.

extern crate std;

#[macro_use]
mod macros;

// the decision
mod choice;
pub mod conf;
#[doc(hidden)]
pub mod decide;
mod refuse;
mod switch;

// the two allocators
#[cfg(alloc_switch_jemalloc)]
mod jemalloc;
mod stay_loaded;
mod system;

// the handle
mod control;
mod error;
mod handle;
mod in_place;
mod self_check;
mod stats;

pub use choice::Choice;
pub use decide::{Allocator, Artifact, Reason};
pub use error::Error;
pub use handle::Handle;
pub use in_place::InPlaceAlloc;
pub use self_check::SelfCheckError;
pub use stats::{Stats, ThreadStats};
pub use switch::Switch;

/// What the macros expand to. Not part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::choice::choose;
    pub use crate::conf::{join, joined_len};
    pub use crate::in_place::custom;
    pub use crate::refuse::{refuse, refuse_conf};
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    pub use crate::stay_loaded::stay_loaded;
    pub use crate::stay_loaded::stays_loaded;

    include!(concat!(env!("OUT_DIR"), "/page_size.rs"));
}
