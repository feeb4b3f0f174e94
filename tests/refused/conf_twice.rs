//! ?

alloc_switch::global_allocator!(conf = "narenas:4", conf = "tcache:true");

fn main() {}
