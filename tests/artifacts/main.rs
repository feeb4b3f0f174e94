//! Real artifacts: each test builds fixtures with real Cargo and looks at what comes out. They are
//! one program because they need no allocator of their own.

#[path = "../support/mod.rs"]
mod support;

use alloc_inspect as inspect;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod callers;
mod conf;
mod executables;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod fallback;
mod features;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod leaks;
mod libraries;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod memory;
mod metrics;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod neighbours;
mod override_malloc;
mod overrides;
mod prefer_dynamic;
mod refusals;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod reload;
mod sanitizers;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod seat;
mod versions;
mod wrapper;
