//! alloc-switch: `jemaloc` is not understood: did you mean `jemalloc`, `system`, `executable` or `custom: TYPE = EXPR`?

const CHOICE: alloc_switch::Choice = alloc_switch::choice!(jemaloc);

fn main() {}
