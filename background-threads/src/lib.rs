//! Carries the feature `background-threads` of `alloc-switch` to jemalloc on the targets that can
//! honour it. There is no code here and no reason to depend on it directly.

#![no_std]
