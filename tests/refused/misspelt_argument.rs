//! alloc-switch: `jemaloc` is not understood: did you mean `jemalloc`, `system`, `executable` or `custom: TYPE = EXPR`?

alloc_switch::global_allocator!(jemaloc);

fn main() {}
