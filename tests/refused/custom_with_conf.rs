//! ?

alloc_switch::global_allocator!(
    custom: std::alloc::System = std::alloc::System,
    conf = "narenas:4"
);

fn main() {}
