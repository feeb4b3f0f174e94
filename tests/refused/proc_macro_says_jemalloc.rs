//! alloc-switch: a procedural macro cannot have jemalloc, because rustc links no allocator of its own into it: write `global_allocator!()`
//! (proc-macro)

alloc_switch::global_allocator!(jemalloc);
