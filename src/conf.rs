//! Presets for the macro's `conf`: option strings for jemalloc, alone or in brackets with more; the
//! last one of a name wins.
//!
//! ```no_run
//! # fn main() {}
//! # #[cfg(any())] mod only_in_an_executable {
//! alloc_switch::global_allocator!(conf = [alloc_switch::conf::GIVE_BACK, "narenas:4"]);
//! # }
//! ```
//!
//! # What is checked
//!
//! While the program compiles: that each string is `key:value(,key:value)*`; that the linked
//! jemalloc, 5.3.0 or 5.3.1 as this crate builds it, knows the key; that the value is a boolean, an
//! integer or a text, as the key takes; `background_thread:true` on Apple and musl, where a program
//! would not start with it. Nothing else is: not whether a number is in its range, nor whether two
//! options go together. jemalloc says so on standard error when the program starts, and goes on
//! (`abort_conf:true` has it stop).
//!
//! For a jemalloc of another version, and for one that was built elsewhere and named with
//! `JEMALLOC_OVERRIDE`, any well-formed pair is taken.

/// A program that has had a burst returns its memory while it is idle: jemalloc's background
/// threads give pages back that have not been used for two seconds, where it otherwise keeps them
/// until some thread allocates or frees. On Apple and musl targets, which do not have these
/// threads, the pages go back as soon, but only then.
///
/// `cargo bench --bench real -- --parts burst` chose it on one server and reports on another: 15 s
/// after a burst of 230 MiB that one holds 10 MiB, where the default keeps 41 to 49 and glibc 169,
/// at 0.99 of the default's processor time. It had 4.5 MiB before: our goal of 1.2 times that is
/// missed, by this and by every option. docs/figures.md has the table.
///
/// The threads do not survive `fork`: in the child, its own threads do the work.
pub const GIVE_BACK: &str = if NO_BACKGROUND_THREADS {
    "dirty_decay_ms:2000,muzzy_decay_ms:0"
} else {
    "background_thread:true,dirty_decay_ms:2000,muzzy_decay_ms:0"
};

/// Heap profiles from the start, of one allocation in every 512 KiB on average; `dump_profile` of
/// the trait `Handle` (feature `handle`) writes one.
///
/// Without the feature `profiling` jemalloc does not know these options and would say so on
/// standard error at every start, so the constant then sets one of jemalloc's defaults.
pub const PROFILING: &str = if cfg!(feature = "profiling") {
    "prof:true,prof_active:true,lg_prof_sample:19"
} else {
    NO_OP
};

/// Heap profiles that are armed, not active: nothing is sampled before `start_profile` of the trait
/// `Handle` (feature `handle`), then one allocation in every 512 KiB on average, as with
/// [`PROFILING`]. This is for production: a server can be profiled while it misbehaves, without a
/// restart. A profile shows only what was allocated while it was active.
///
/// It is cheap, not free: thirteen programs and libraries, on small inputs and one thread, ran
/// 0.5 % more instructions with it than with `prof:false` in the geometric mean, and 1.9 % at
/// worst, because jemalloc then asks of every large block that is freed or resized whether it was
/// sampled (`cargo bench --bench real -- --parts armed`). The feature is in both.
///
/// Without the feature `profiling` the constant sets one of jemalloc's defaults, as [`PROFILING`]
/// does.
pub const PROFILING_ARMED: &str = if cfg!(feature = "profiling") {
    "prof:true,prof_active:false,lg_prof_sample:19"
} else {
    NO_OP
};

/// The environment variable with which whoever starts a program overrules its `conf`, as the linked
/// jemalloc has it. `None` in a build without jemalloc.
pub const ENVIRONMENT: Option<&str> = if cfg!(not(alloc_switch_jemalloc)) {
    None
} else if cfg!(all(alloc_switch_malloc, not(target_vendor = "apple"))) {
    Some("MALLOC_CONF")
} else {
    Some("_RJEM_MALLOC_CONF")
};

/// A default, for where `conf` wants an option and there is none to set.
const NO_OP: &str = "stats_print:false";

/// On Apple the request for these threads aborts the program; on musl tikv-jemalloc-sys leaves them
/// out.
pub(crate) const NO_BACKGROUND_THREADS: bool =
    cfg!(any(target_vendor = "apple", target_env = "musl"));
