//! alloc-switch: `conf` has no effect in an artifact that Cargo does not build, which gets the system allocator: write `global_allocator!(executable, conf = …)` if it is a program
//! (without Cargo)

alloc_switch::global_allocator!(conf = "narenas:4");

fn main() {}
