//! The line that goes into each program: `allocator::register!();`

pub use {alloc_switch, mimalloc};

/// Registers what `--cfg bench_allocator="…"` says, in the crate that calls it.
#[macro_export]
macro_rules! register {
    () => {
        #[cfg(bench_allocator = "alloc-switch")]
        $crate::alloc_switch::global_allocator!();

        #[cfg(bench_allocator = "profiling")]
        $crate::alloc_switch::global_allocator!(conf = $crate::alloc_switch::conf::PROFILING_ARMED);

        #[cfg(bench_allocator = "mimalloc")]
        const _: () = {
            #[global_allocator]
            static ALLOCATOR: $crate::mimalloc::MiMalloc = $crate::mimalloc::MiMalloc;
        };
    };
}
