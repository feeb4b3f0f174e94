//! E0277 the trait bound `NoAllocator: GlobalAlloc` is not satisfied

struct NoAllocator;

alloc_switch::global_allocator!(static ALLOCATOR, fallback: NoAllocator = NoAllocator);

fn main() {}
