//! ?

struct NoAllocator;

alloc_switch::global_allocator!(static ALLOCATOR, fallback: NoAllocator = NoAllocator);

fn main() {}
