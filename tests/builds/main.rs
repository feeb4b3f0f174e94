//! Real artifacts most of which take a jemalloc with other features, or a target directory of
//! their own. Building those takes longer than all the rest, so that `cargo test` leaves this
//! program out: `cargo test --test builds`.

#[path = "../support/hosts.rs"]
mod hosts;
#[path = "../support/mod.rs"]
mod support;

use alloc_inspect as inspect;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod fallback;
mod jemalloc_in_libraries;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod leaks;
mod lto;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod memory;
mod metrics;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod neighbours;
mod override_malloc;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod reload;
