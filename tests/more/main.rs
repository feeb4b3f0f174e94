//! Real artifacts that take another jemalloc than the default one, a program that is not on every
//! machine, or a target directory of their own.

/// The folder of the workspace.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

#[path = "../support/hosts.rs"]
mod hosts;
#[path = "../support/mod.rs"]
mod support;

mod distribution;
mod inspect;
mod jemalloc_in_libraries;
mod leaks;
mod lto;
mod override_malloc;
mod published_allocators;
mod reload;
mod sanitizers;
mod valgrind;
