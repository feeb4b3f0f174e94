//! alloc-switch: `conf` has no effect in a library, which gets the system allocator: write `global_allocator!(executable, conf = …)` if it is linked into programs; if it is loaded as a shared library (cdylib), write `global_allocator!(jemalloc, conf = …)` and turn on the feature `jemalloc-in-libraries`
//! (proc-macro)

alloc_switch::global_allocator!(conf = "narenas:4");
