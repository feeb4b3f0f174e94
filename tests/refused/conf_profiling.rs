//! alloc-switch: in `conf`, "prof:true" needs heap profiles in jemalloc: turn on the feature `profiling`
//! (with jemalloc)

alloc_switch::global_allocator!(conf = "prof:true,lg_prof_sample:19");

fn main() {}
