//! alloc-switch: the feature `override-malloc` puts a private jemalloc behind this library artifact's malloc: build the library without it, or write `global_allocator!(jemalloc)` and turn on the feature `jemalloc-in-libraries`
//! (proc-macro, with override-malloc)

alloc_switch::global_allocator!();
