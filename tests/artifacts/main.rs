//! Real artifacts: each test builds fixtures with real Cargo and looks at what comes out. They are
//! one program because they need no allocator of their own, and one jemalloc does for all of them;
//! those that take another are in `tests/builds`.

#[path = "../support/hosts.rs"]
mod hosts;
#[path = "../support/mod.rs"]
mod support;

use alloc_inspect as inspect;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod callers;
mod conf;
mod executables;
mod features;
mod libraries;
mod overrides;
mod prefer_dynamic;
mod refusals;
mod sanitizers;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod seat;
mod versions;
mod wrapper;
