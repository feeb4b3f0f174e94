// README's links work in a clone. These stand first, and so in their place on docs.rs.
//! [CONTRIBUTING.md]: https://docs.rs/crate/alloc-switch/latest/source/CONTRIBUTING.md
//! [docs/field.md]: https://docs.rs/crate/alloc-switch/latest/source/docs/field.md
//! [docs/figures.md]: https://docs.rs/crate/alloc-switch/latest/source/docs/figures.md
//! [docs/handle.md]: https://docs.rs/crate/alloc-switch/latest/source/docs/handle.md
//! [docs/packaging.md]: https://docs.rs/crate/alloc-switch/latest/source/docs/packaging.md
//! [docs/recipes.md]: https://docs.rs/crate/alloc-switch/latest/source/docs/recipes.md
//! [docs/targets.md]: https://docs.rs/crate/alloc-switch/latest/source/docs/targets.md
#![doc = include_str!("../README.md")]
#![warn(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]

// How it works, in the order of a build:
//
// 1. Cargo.toml leaves jemalloc out of the graph where it cannot be wanted.
// 2. build.rs finds out what holds for the whole build, and which jemalloc is linked.
// 3. The macros (macros.rs) expand in the root of an artifact, where Cargo's variables tell what it
//    is. There they ask the rule (rule.rs) once. check.rs refuses what cannot work.
// 4. chosen.rs makes a type of the answer, implemented once for each allocator.
//
// `handle` and `in_place` are layers on top of it, each behind a feature. Nothing here knows them.

#[macro_use]
mod macros;

mod check;
mod chosen;
pub mod conf;
#[cfg(feature = "handle")]
mod handle;
#[cfg(feature = "in-place")]
mod in_place;
mod options;
#[doc(hidden)]
pub mod rule;

pub use chosen::{Choice, Chosen};
#[cfg(feature = "handle")]
pub use handle::{Error, Handle, ReportFormat, SelfCheckError, Stats, ThreadStats};
#[cfg(feature = "in-place")]
pub use in_place::InPlaceAlloc;
pub use rule::{Allocator, Artifact, Reason};

/// What the macros expand to, and what the tests look at. Not part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use core::prelude::v1::global_allocator;

    #[allow(deprecated)] // for whoever calls a macro
    pub use crate::check::PAGE_SIZE_WARNING;
    pub use crate::check::{note_space, stay_loaded, Decision, LibraryWarning, Note};
    pub use crate::chosen::{choose, Code, Decode};
    pub use crate::options::{
        check, join, joined_len, LinkedJemalloc, BOOLEAN, INTEGER, LINKED, SINCE_5_3_1, TEXT,
        UNTIL_5_3_0,
    };
    pub use crate::rule::{Argument, Caller, CargoEnv};
}
