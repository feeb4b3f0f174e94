//! Real artifacts: each test builds fixtures with real Cargo and looks at what comes out. They are
//! one program because they need no allocator of their own, and one jemalloc does for all of them;
//! those that take another, or a program that is not everywhere, are in `tests/more`.

/// The folder of the workspace.
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[path = "../support/hosts.rs"]
mod hosts;
#[path = "../support/mod.rs"]
mod support;

mod author;
mod dependencies;
mod executables;
#[cfg(target_os = "linux")]
mod handles;
mod libraries;
#[cfg(target_os = "linux")]
mod note;
mod overrides;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod vendors;
#[cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]
mod without_cargo;
#[cfg(target_os = "linux")]
mod zero_cost;
