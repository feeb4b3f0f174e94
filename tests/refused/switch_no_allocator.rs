//! ?

struct NoAllocator;

type Inner = alloc_switch::switch!(fallback: NoAllocator);

#[global_allocator]
static ALLOCATOR: Inner = Inner::with_fallback(NoAllocator);

fn main() {}
