//! ?

alloc_switch::global_allocator!(
    fallback: std::alloc::System = std::alloc::System,
    conf = "narenas:4"
);

fn main() {}
