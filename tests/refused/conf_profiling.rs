//! ?
//! (with jemalloc)

alloc_switch::global_allocator!(conf = "prof:true,lg_prof_sample:19");

fn main() {}
