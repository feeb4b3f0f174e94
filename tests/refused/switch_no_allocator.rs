//! E0277 the trait bound `NoAllocator: GlobalAlloc` is not satisfied

struct NoAllocator;

type Inner = alloc_switch::switch!(fallback: NoAllocator);

#[global_allocator]
static ALLOCATOR: Inner = Inner::with_fallback(NoAllocator);

fn main() {}
