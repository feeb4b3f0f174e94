//! alloc-switch: write `static NAME = custom: TYPE = EXPR` for an allocator in jemalloc's place, or Rust's own `#[global_allocator] static NAME: TYPE = EXPR;` for one as it stands

alloc_switch::global_allocator!(static ALLOCATOR: std::alloc::System = std::alloc::System);

fn main() {}
