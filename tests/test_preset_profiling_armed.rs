//! The preset `PROFILING_ARMED`, alone in its program because options are the process's.

mod presets;

use alloc_switch::conf;

alloc_switch::global_allocator!(conf = [conf::PROFILING_ARMED, "lg_tcache_nslots_mul:2"]);

#[test]
#[cfg(alloc_switch_jemalloc)]
fn is_in_force() {
    presets::in_force(conf::PROFILING_ARMED);
    presets::in_force("lg_tcache_nslots_mul:2");
}

#[test]
fn starts_silently() {
    presets::starts_silently();
}
