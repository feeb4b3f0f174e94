// A documentation test counts as a library artifact, which `override-malloc` alone refuses.
#![cfg_attr(
    not(all(doctest, feature = "override-malloc", not(feature = "jemalloc-in-libraries"))),
    doc = include_str!("../README.md")
)]
#![no_std]
#![warn(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate std;

#[macro_use]
mod macros;

#[cfg(alloc_switch_jemalloc)]
mod jemalloc;
mod system;

mod choice;
pub mod conf;
mod control;
#[doc(hidden)]
pub mod decide;
mod error;
mod handle;
mod in_place;
mod refuse;
mod self_check;
mod stats;
mod stay_loaded;
mod switch;

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
}
