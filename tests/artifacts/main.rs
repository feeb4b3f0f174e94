//! Real artifacts: each test builds fixtures with real Cargo and looks at what comes out. They are
//! one program because they need no allocator of their own.

#[path = "../support/mod.rs"]
mod support;

use alloc_inspect as inspect;

mod conf;
mod executables;
mod features;
mod libraries;
mod metrics;
mod override_malloc;
mod overrides;
mod prefer_dynamic;
mod refusals;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod reload;
mod sanitizers;
mod wrapper;
