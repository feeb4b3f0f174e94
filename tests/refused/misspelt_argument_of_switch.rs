//! alloc-switch: `jemaloc` is not understood: did you mean `jemalloc`, `system`, `executable` or `custom: TYPE = EXPR`?

type Inner = alloc_switch::switch!(jemaloc);

fn main() {}
