//! alloc-switch: this is a library, in which `jemalloc` is not permitted: write `global_allocator!(executable)` if it is linked into programs; if it is loaded as a shared library (cdylib), turn on the feature `jemalloc-in-libraries`
//! (cdylib, with jemalloc)

alloc_switch::global_allocator!(jemalloc);
