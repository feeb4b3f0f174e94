//! ?
//! (cdylib, with jemalloc)

/// A wrapper may hold it.
pub type Inner = alloc_switch::switch!(jemalloc);
