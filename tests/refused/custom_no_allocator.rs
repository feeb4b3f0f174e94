//! ?

struct NoAllocator;

alloc_switch::global_allocator!(custom: NoAllocator = NoAllocator);

fn main() {}
