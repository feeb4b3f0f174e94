//! Presets for the macro's `conf`: option strings for jemalloc, alone or in brackets with more; the
//! last flag wins.
//!
//! ```no_run
//! # fn main() {}
//! # #[cfg(any())] mod only_in_an_executable {
//! alloc_switch::global_allocator!(conf = [alloc_switch::conf::ONE_ARENA, "dirty_decay_ms:1000"]);
//! # }
//! ```
//!
//! A preset holds no option that the linked jemalloc does not know. The figures are in
//! `docs/figures.md`, and the options that lost in `docs/presets.md`.

use crate::choice::VERSION;

/// Less memory: one arena that all threads share, and unused pages that go back within a fifth of a
/// second instead of ten seconds. On many processors, threads that allocate all the time wait for
/// each other; a larger number in `narenas` after it gives them more arenas.
///
/// Blocks of 8 MiB and more, whose pages jemalloc otherwise gives back at once, are kept as long as
/// the others (up to 1 GiB), because a vector that doubles asks for them again at once.
///
/// `cargo bench --bench real` measured, in three sessions on programs that it was not chosen on,
/// 0.93 to 0.97 times the peak memory of the same programs without options, and 1.00 to 1.05 times
/// their processor time (geometric means; two processors).
pub const ONE_ARENA: &str =
    cache_oblivious_off!("narenas:1,oversize_threshold:1073741824,dirty_decay_ms:200");

/// Heap profiles from the start, of one allocation in every 512 KiB on average; see
/// [`Switch::dump_profile`](crate::Switch::dump_profile).
///
/// It trades time and memory for knowledge: `cargo bench --bench programs` measured 0.72 times the
/// processor time and 1.39 times the peak memory of glibc's allocator (geometric means), where the
/// same program without profiles has 0.62 and 1.18.
///
/// Without the feature `profiling` jemalloc does not know these options and would say so on
/// standard error at every start, so the constant then sets one of jemalloc's defaults.
pub const PROFILING: &str = if cfg!(feature = "profiling") {
    "prof:true,prof_active:true,lg_prof_sample:19"
} else {
    NOTHING
};

/// Heap profiles that are armed, not active: nothing is sampled before
/// [`Switch::start_profile`](crate::Switch::start_profile), then one allocation in every 512 KiB on
/// average, as with [`PROFILING`]. This is for production: a server can be profiled while it
/// misbehaves, without a restart. A profile shows only what was allocated while it was active.
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
    NOTHING
};

/// The same work in every run, for more memory: pages are never given back, which jemalloc
/// otherwise does by the clock, and no thread works beside the program's own.
///
/// `cargo bench --bench programs` measured 0.58 times the processor time and 1.24 times the peak
/// memory of glibc's allocator (geometric means; without options 0.62 and 1.18). A program that
/// runs for long holds its peak to the end.
pub const BENCHMARKING: &str = if cfg!(any(target_vendor = "apple", target_env = "musl")) {
    "dirty_decay_ms:-1,muzzy_decay_ms:-1"
} else {
    "dirty_decay_ms:-1,muzzy_decay_ms:-1,background_thread:false"
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
const NOTHING: &str = "stats_print:false";

/// Adds the option where the linked jemalloc is known to have it.
macro_rules! cache_oblivious_off {
    ($options:literal) => {
        match LINKED.version {
            Version::V5_3_1 => concat!($options, ",cache_oblivious:false"),
            Version::V5_3_0 | Version::Unknown => $options,
        }
    };
}
use cache_oblivious_off;

// Below: what jemalloc knows, checking, and joining.

/// A version of jemalloc, as far as its options differ.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V5_3_0,
    V5_3_1,
    /// Built by somebody else, or not there at all: an option may be of either version.
    Unknown,
}

/// What is known of the jemalloc that will be linked.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linked {
    pub version: Version,
    /// Whether heap profiles are compiled in.
    pub profiling: bool,
    /// Whether it is built with its own assertions, which bring an option with them.
    pub debug: bool,
    pub apple: bool,
    pub musl: bool,
}

#[doc(hidden)]
pub const LINKED: Linked = Linked {
    version: match VERSION {
        Some(version) if same(version, "5.3.0") => Version::V5_3_0,
        Some(version) if same(version, "5.3.1") => Version::V5_3_1,
        _ => Version::Unknown,
    },
    profiling: cfg!(feature = "profiling"),
    debug: cfg!(feature = "debug"),
    apple: cfg!(target_vendor = "apple"),
    musl: cfg!(target_env = "musl"),
};

/// The C type behind `opt.NAME`.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CType {
    Bool,
    /// `unsigned`
    Unsigned,
    /// `size_t`
    Size,
    /// `ssize_t`
    SignedSize,
    /// `uint64_t`
    U64,
    /// `int64_t`
    I64,
    /// `uint32_t`: 16 bits before the binary point and 16 behind it.
    Fixed,
    /// `const char *`
    Text,
}

/// What jemalloc takes as the value of an option.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum Takes {
    Bool,
    /// A number of this type from the first bound to the second. Where jemalloc cuts a number off
    /// at a bound of its own, the bounds are those of the type.
    Number(CType, i128, i128),
    /// A decimal number of at most this many 65536ths.
    Ratio(u32),
    /// One of these words.
    Word(&'static [&'static str]),
    /// This word, or something else.
    Or(&'static str, &'static Takes),
    /// Ranges of sizes with a number between these bounds: `1-4096:17|4097-8192:4`.
    Ranges(i128, i128),
    /// Anything without a comma, nothing at all too.
    Text,
}

/// The jemallocs that have an option, beside its versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// The feature `profiling`.
    Profiling,
    /// The feature `debug`.
    Debug,
    /// A flag of jemalloc's `configure` that no feature of this crate sets.
    Configure(&'static str),
}

/// An option.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub name: &'static str,
    pub takes: Takes,
    /// Whether `mallctl` has an `opt.NAME`, of the type [`Key::c_type`].
    pub readable: bool,
    /// The version that does not have it.
    not_in: Option<Version>,
    needs: Needs,
}

impl Key {
    const fn unreadable(self) -> Self {
        Key { readable: false, ..self }
    }

    const fn since_5_3_1(self) -> Self {
        Key { not_in: Some(Version::V5_3_0), ..self }
    }

    const fn until_5_3_0(self) -> Self {
        Key { not_in: Some(Version::V5_3_1), ..self }
    }

    const fn profiling(self) -> Self {
        Key { needs: Needs::Profiling, ..self }
    }

    const fn debug(self) -> Self {
        Key { needs: Needs::Debug, ..self }
    }

    const fn configured(self, flag: &'static str) -> Self {
        Key { needs: Needs::Configure(flag), ..self }
    }

    /// Whether this jemalloc takes the option, and `mallctl` reads it back if it is readable.
    pub const fn is_known_to(&self, linked: &Linked) -> bool {
        self.unknown_to(linked).is_none()
    }

    const fn unknown_to(&self, linked: &Linked) -> Option<Problem> {
        match (self.needs, self.not_in, linked.version) {
            (Needs::Configure(flag), ..) => Some(Problem::Configure(flag)),
            (Needs::Profiling, ..) if !linked.profiling => Some(Problem::Feature("profiling")),
            (Needs::Debug, ..) if !linked.debug => Some(Problem::Feature("debug")),
            (_, Some(Version::V5_3_0), Version::V5_3_0) => Some(Problem::TooNew),
            (_, Some(Version::V5_3_1), Version::V5_3_1) => Some(Problem::TooOld),
            _ => None,
        }
    }

    /// Whether 5.3.0 refuses the option, even if its `mallctl` tells of it.
    pub const fn is_newer_than_5_3_0(&self) -> bool {
        matches!(self.not_in, Some(Version::V5_3_0))
    }

    /// The type of `opt.NAME`.
    pub const fn c_type(&self) -> CType {
        let mut takes = self.takes;
        loop {
            takes = match takes {
                Takes::Bool => return CType::Bool,
                Takes::Number(c_type, ..) => return c_type,
                Takes::Ratio(_) => return CType::Fixed,
                Takes::Or(_, other) => *other,
                Takes::Word(_) | Takes::Ranges(..) | Takes::Text => return CType::Text,
            }
        }
    }

    /// `opt.NAME` with a NUL at its end, for `mallctl`.
    pub const fn opt(&self) -> [u8; 48] {
        let (mut opt, name, mut i) = ([0; 48], self.name.as_bytes(), 0);
        [opt[0], opt[1], opt[2], opt[3]] = *b"opt.";
        while i < name.len() {
            opt[4 + i] = name[i];
            i += 1;
        }
        assert!(opt[47] == 0);
        opt
    }
}

const fn key(name: &'static str, takes: Takes) -> Key {
    Key { name, takes, readable: true, not_in: None, needs: Needs::Nothing }
}

const BOOL: Takes = Takes::Bool;
const UNSIGNED: Takes = Takes::Number(CType::Unsigned, 0, u32::MAX as i128);
const SIZE: Takes = size_up_to(usize::MAX as i128);
const U64: Takes = Takes::Number(CType::U64, 0, u64::MAX as i128);
const I64_OR_OFF: Takes = Takes::Number(CType::I64, -1, i64::MAX as i128);
const SSIZE_OR_OFF: Takes = signed(-1, isize::MAX as i128);
/// What fits into nanoseconds of 64 bits, in milliseconds.
const DECAY: Takes =
    signed(-1, min(isize::MAX as i128, (u64::MAX / 1_000_000_000 - 1) as i128 * 1000));
/// The largest size class: jemalloc has four between two powers of two.
const BLOCK: Takes = size_up_to(7 << (usize::BITS - 4));
const RATIO: Takes = Takes::Ratio(u32::MAX);
const UP_TO_1: Takes = Takes::Ratio(1 << 16);
const TEXT: Takes = Takes::Text;

const fn size_up_to(max: i128) -> Takes {
    Takes::Number(CType::Size, 0, max)
}

const fn signed(min: i128, max: i128) -> Takes {
    Takes::Number(CType::SignedSize, min, max)
}

const fn min(a: i128, b: i128) -> i128 {
    if a < b {
        a
    } else {
        b
    }
}

/// Every option of jemalloc 5.3.0 and 5.3.1, from `malloc_conf_init_helper` and `opt_node` in its
/// source. `tests/test_conf_keys.rs` holds it against both.
#[doc(hidden)]
pub const KEYS: &[Key] = &[
    key("abort", BOOL),
    key("abort_conf", BOOL),
    key("confirm_conf", BOOL),
    key("trust_madvise", BOOL),
    key("cache_oblivious", BOOL).since_5_3_1(),
    key("zero_realloc", Takes::Word(&["alloc", "free", "abort"])),
    key("junk", Takes::Word(&["true", "false", "alloc", "free"])),
    key("zero", BOOL),
    key("utrace", BOOL).configured("--enable-utrace"),
    key("xmalloc", BOOL).configured("--enable-xmalloc"),
    key("log", TEXT).unreadable().configured("--enable-log"),
    key("experimental_infallible_new", BOOL).configured("--enable-cxx"),
    key("debug_double_free_max_scan", UNSIGNED).since_5_3_1(),
    key("disable_large_size_classes", BOOL).since_5_3_1(),
    // arenas
    key("narenas", Takes::Or("default", &Takes::Number(CType::Unsigned, 1, u32::MAX as i128))),
    key("narenas_ratio", RATIO).unreadable(),
    key("percpu_arena", Takes::Word(&["disabled", "percpu", "phycpu"])),
    key("mutex_max_spin", I64_OR_OFF),
    key("oversize_threshold", BLOCK),
    key("calloc_madvise_threshold", BLOCK).unreadable().since_5_3_1(),
    key("bin_shards", Takes::Ranges(1, 64)).unreadable(),
    key("slab_sizes", Takes::Or("default", &Takes::Ranges(0, i32::MAX as i128))).unreadable(),
    // pages
    key("dirty_decay_ms", DECAY),
    key("muzzy_decay_ms", DECAY),
    key("background_thread", BOOL),
    key("max_background_threads", SIZE),
    key("process_madvise_max_batch", SIZE).since_5_3_1(),
    key("retain", BOOL),
    key("dss", Takes::Word(&["disabled", "primary", "secondary"])),
    key("lg_extent_max_active_fit", size_up_to(usize::BITS as i128)),
    key("thp", Takes::Word(&["default", "always", "never"])),
    key("metadata_thp", Takes::Word(&["disabled", "auto", "always"])),
    key("huge_arena_pac_thp", BOOL).since_5_3_1(),
    key("san_guard_small", SIZE).unreadable(),
    key("san_guard_large", SIZE).unreadable(),
    key("lg_san_uaf_align", SSIZE_OR_OFF).debug(),
    // thread caches
    key("tcache", BOOL),
    key("tcache_max", SIZE),
    key("lg_tcache_max", SIZE).unreadable(),
    key("lg_tcache_nslots_mul", signed(-16, 16)),
    key("tcache_nslots_small_min", UNSIGNED),
    key("tcache_nslots_small_max", UNSIGNED),
    key("tcache_nslots_large", UNSIGNED),
    key("tcache_ncached_max", Takes::Ranges(0, usize::MAX as i128)).unreadable().since_5_3_1(),
    key("tcache_gc_incr_bytes", SIZE),
    key("tcache_gc_delay_bytes", SIZE),
    key("lg_tcache_flush_small_div", UNSIGNED),
    key("lg_tcache_flush_large_div", UNSIGNED),
    key("experimental_tcache_gc", BOOL).since_5_3_1(),
    // the allocator of huge pages
    key("hpa", BOOL),
    key("hpa_slab_max_alloc", SIZE),
    key("hpa_hugification_threshold", SIZE),
    key("hpa_hugification_threshold_ratio", UP_TO_1).unreadable(),
    key("hpa_hugify_delay_ms", U64),
    key("hpa_hugify_sync", BOOL).since_5_3_1(),
    key("hpa_hugify_style", Takes::Word(&["auto", "none", "eager", "lazy"])).since_5_3_1(),
    key("hpa_min_purge_interval_ms", U64),
    key("hpa_min_purge_delay_ms", U64).since_5_3_1(),
    key("hpa_purge_threshold", SIZE).since_5_3_1(),
    key("hpa_purge_threshold_ratio", UP_TO_1).unreadable().since_5_3_1(),
    key("hpa_dirty_mult", Takes::Or("-1", &RATIO)),
    key("hpa_sec_nshards", SIZE),
    key("hpa_sec_max_alloc", SIZE),
    key("hpa_sec_max_bytes", SIZE),
    key("hpa_sec_bytes_after_flush", SIZE).until_5_3_0(),
    key("hpa_sec_batch_fill_extra", SIZE),
    key("experimental_hpa_max_purge_nhp", SSIZE_OR_OFF).since_5_3_1(),
    key("experimental_hpa_start_huge_if_thp_always", BOOL).since_5_3_1(),
    key("experimental_hpa_enforce_hugify", BOOL).since_5_3_1(),
    // statistics and profiles
    key("stats_print", BOOL),
    key("stats_print_opts", TEXT),
    key("stats_interval", I64_OR_OFF),
    key("stats_interval_opts", TEXT),
    key("prof", BOOL).profiling(),
    key("prof_prefix", TEXT).profiling(),
    key("prof_active", BOOL).profiling(),
    key("prof_thread_active_init", BOOL).profiling(),
    key("lg_prof_sample", SIZE).profiling(),
    key("prof_bt_max", UNSIGNED).profiling().since_5_3_1(),
    key("prof_accum", BOOL).profiling(),
    key("lg_prof_interval", signed(-1, 63)).profiling(),
    key("prof_gdump", BOOL).profiling(),
    key("prof_final", BOOL).profiling(),
    key("prof_leak", BOOL).profiling(),
    key("prof_leak_error", BOOL).profiling(),
    key("prof_log", BOOL).profiling().unreadable(),
    key("prof_pid_namespace", BOOL).profiling().since_5_3_1(),
    key("prof_recent_alloc_max", SSIZE_OR_OFF).profiling(),
    key("prof_stats", BOOL).profiling(),
    key("prof_sys_thread_name", BOOL).profiling(),
    key("prof_time_resolution", Takes::Word(&["default", "high"])).profiling(),
    key("prof_unbias", BOOL).profiling().unreadable(),
];

/// Why a pair is refused.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum Problem {
    Form,
    Unknown,
    /// Only a jemalloc that was configured with this flag has the option.
    Configure(&'static str),
    /// Only a jemalloc that is built with this feature has the option.
    Feature(&'static str),
    /// 5.3.1 has the option, 5.3.0 is linked.
    TooNew,
    /// 5.3.0 had it, 5.3.1 is linked.
    TooOld,
    Value(&'static Key),
    BackgroundThread,
    /// No target of Apple's can do it.
    Apple,
}

/// The first pair of a string that is refused, and why.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    /// Where the pair is in the string, in bytes.
    pub start: usize,
    pub end: usize,
    pub problem: Problem,
}

/// Whether `text` is `key:value(,key:value)*`, with keys of letters, digits and underscores, and,
/// if `linked` is given, whether that jemalloc takes each pair.
#[doc(hidden)]
pub const fn check(text: &str, linked: Option<&Linked>) -> Result<(), Refusal> {
    let bytes = text.as_bytes();
    let (mut start, mut colon, mut good, mut i) = (0, None, true, 0);
    while i <= bytes.len() {
        if i == bytes.len() || bytes[i] == b',' {
            let problem = match (colon, linked) {
                (Some(colon), _) if !good || colon == start => Some(Problem::Form),
                (Some(colon), Some(linked)) => check_pair(bytes, start, colon, i, linked),
                (Some(_), None) => None,
                (None, _) => Some(Problem::Form),
            };
            if let Some(problem) = problem {
                return Err(Refusal { start, end: i, problem });
            }
            (start, colon, good) = (i + 1, None, true);
        } else if colon.is_some() {
            good &= bytes[i] != 0;
        } else if bytes[i] == b':' {
            colon = Some(i);
        } else {
            good &= bytes[i].is_ascii_alphanumeric() || bytes[i] == b'_';
        }
        i += 1;
    }
    Ok(())
}

/// A pair from `start` to `end`.
const fn check_pair(
    bytes: &[u8],
    start: usize,
    colon: usize,
    end: usize,
    linked: &Linked,
) -> Option<Problem> {
    let mut i = 0;
    while !is(bytes, start, colon, KEYS[i].name) {
        i += 1;
        if i == KEYS.len() {
            return Some(Problem::Unknown);
        }
    }
    let (key, value) = (&KEYS[i], colon + 1);
    if let Some(problem) = key.unknown_to(linked) {
        return Some(problem);
    }
    if !accepts(&key.takes, bytes, value, end) {
        return Some(if value == end { Problem::Form } else { Problem::Value(key) });
    }
    let on = is(bytes, value, end, "true");
    if (linked.apple || linked.musl) && on && same(key.name, "background_thread") {
        return Some(Problem::BackgroundThread);
    }
    if linked.apple
        && (same(key.name, "thp") || same(key.name, "percpu_arena") || on && same(key.name, "hpa"))
    {
        return Some(Problem::Apple);
    }
    None
}

const fn same(a: &str, b: &str) -> bool {
    is(a.as_bytes(), 0, a.len(), b)
}

/// Whether the bytes from `start` to `end` are this word.
const fn is(bytes: &[u8], start: usize, end: usize, word: &str) -> bool {
    if end - start != word.len() {
        return false;
    }
    let mut i = 0;
    while i < word.len() {
        if bytes[start + i] != word.as_bytes()[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// Whether jemalloc takes the value from `start` to `end`.
const fn accepts(takes: &Takes, bytes: &[u8], start: usize, end: usize) -> bool {
    match *takes {
        Takes::Bool => is(bytes, start, end, "true") || is(bytes, start, end, "false"),
        Takes::Number(_, min, max) => {
            let (n, rest) = number(bytes, start, end);
            rest == end && min <= n && n <= max
        }
        Takes::Ratio(max) => is_ratio(bytes, start, end, max),
        Takes::Word(words) => {
            let mut i = 0;
            while i < words.len() {
                if is(bytes, start, end, words[i]) {
                    return true;
                }
                i += 1;
            }
            false
        }
        Takes::Or(word, other) => is(bytes, start, end, word) || accepts(other, bytes, start, end),
        Takes::Ranges(min, max) => are_ranges(bytes, start, end, min, max),
        Takes::Text => true,
    }
}

/// No type of jemalloc's holds this number.
const NONE: i128 = i128::MAX;

/// The number at `start`, as C writes it: white space, a sign, and a decimal, octal (`0…`) or
/// hexadecimal number (`0x…`); and where it ends.
const fn number(bytes: &[u8], start: usize, end: usize) -> (i128, usize) {
    let mut i = start;
    while i < end && matches!(bytes[i], b'\t'..=b'\r' | b' ') {
        i += 1;
    }
    let negative = i < end && bytes[i] == b'-';
    if negative || i < end && bytes[i] == b'+' {
        i += 1;
    }
    let mut base = 10;
    if i < end && bytes[i] == b'0' {
        base = 8;
        if i + 2 < end && bytes[i + 1] | 0x20 == b'x' && bytes[i + 2].is_ascii_hexdigit() {
            base = 16;
            i += 2;
        }
    }
    let (first, mut n) = (i, 0);
    while i < end {
        let digit = match (bytes[i] as char).to_digit(base) {
            Some(digit) => digit as i128,
            None => break,
        };
        n = min(n * base as i128 + digit, 1 << 64); // more than any type holds
        i += 1;
    }
    (
        if i == first {
            NONE
        } else if negative {
            -n
        } else {
            n
        },
        i,
    )
}

/// Whether it is a decimal number, `1`, `.5` or `1.5`, that is below 65536 and not above `max`.
const fn is_ratio(bytes: &[u8], start: usize, end: usize, max: u32) -> bool {
    let (mut i, mut whole) = (start, 0);
    while i < end && bytes[i].is_ascii_digit() {
        whole = whole * 10 + (bytes[i] - b'0') as u64;
        if whole >= 1 << 16 {
            return false;
        }
        i += 1;
    }
    let (point, mut part, mut unit) = (i, 0, 1);
    if i < end && bytes[i] == b'.' {
        i += 1;
        while i < end && bytes[i].is_ascii_digit() {
            // jemalloc passes over further digits
            if unit < 100_000_000_000_000 {
                part = part * 10 + (bytes[i] - b'0') as u64;
                unit *= 10;
            }
            i += 1;
        }
        if i == point + 1 {
            return false;
        }
    }
    i == end && i > start && (whole << 16) + (part << 16) / unit <= max as u64
}

/// Whether it is `size-size:number` with a number between the bounds, or several, with `|` between.
const fn are_ranges(bytes: &[u8], start: usize, end: usize, min: i128, max: i128) -> bool {
    let mut i = start;
    loop {
        let (from, dash) = number(bytes, i, end);
        if dash >= end || bytes[dash] != b'-' {
            return false;
        }
        let (to, colon) = number(bytes, dash + 1, end);
        if colon >= end || bytes[colon] != b':' {
            return false;
        }
        let (n, rest) = number(bytes, colon + 1, end);
        let fits = is_size(from) && is_size(to) && min <= n && n <= max;
        i = if rest < end && bytes[rest] == b'|' { rest + 1 } else { rest };
        if !fits || i == end {
            return fits;
        }
    }
}

const fn is_size(n: i128) -> bool {
    0 <= n && n <= usize::MAX as i128
}

/// How much of a pair a message quotes, in bytes.
const QUOTED: usize = 120;

/// An error message with a piece of the user's text in it. Formatting is not const, so bytes are
/// copied by hand.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Message {
    bytes: [u8; 640],
    len: usize,
}

impl Message {
    const fn push(mut self, text: &str, from: usize, to: usize) -> Self {
        let mut i = from;
        while i < to {
            self.bytes[self.len] = text.as_bytes()[i];
            self.len += 1;
            i += 1;
        }
        self
    }

    const fn push_all(self, text: &str) -> Self {
        self.push(text, 0, text.len())
    }

    const fn push_number(mut self, n: i128) -> Self {
        if n < 0 {
            self = self.push_all("-");
        }
        let mut unit = 1;
        while n / unit / 10 != 0 {
            unit *= 10;
        }
        while unit > 0 {
            let digit = (n / unit % 10).unsigned_abs() as usize;
            self = self.push("0123456789", digit, digit + 1);
            unit /= 10;
        }
        self
    }

    /// The words in backticks.
    const fn push_words(mut self, words: &[&str]) -> Self {
        let mut i = 0;
        while i < words.len() {
            if i > 0 {
                self = self.push_all(if i + 1 < words.len() { ", " } else { " or " });
            }
            self = self.push_all("`").push_all(words[i]).push_all("`");
            i += 1;
        }
        self
    }

    const fn push_takes(self, takes: &Takes) -> Self {
        match *takes {
            Takes::Bool => self.push_words(&["true", "false"]),
            Takes::Number(_, min, max) => {
                self.push_all("a number from ").push_number(min).push_all(" to ").push_number(max)
            }
            Takes::Ratio(u32::MAX) => self.push_all("a decimal number below 65536, such as 0.25"),
            Takes::Ratio(_) => self.push_all("a decimal number from 0 to 1, such as 0.25"),
            Takes::Word(words) => self.push_words(words),
            Takes::Or(word, other) => self.push_takes(other).push_all(", or ").push_words(&[word]),
            Takes::Ranges(min, max) => self
                .push_all("ranges of sizes, each with a number from ")
                .push_number(min)
                .push_all(" to ")
                .push_number(max)
                .push_all(", such as 1-4096:16|4097-8192:4"),
            Takes::Text => self.push_all("any text"),
        }
    }

    pub const fn as_str(&self) -> &str {
        match core::str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(message) => message,
            Err(_) => panic!("a message is pieces of UTF-8"),
        }
    }
}

impl Refusal {
    /// One sentence. `option` is the macro's, `text` the string that was checked.
    pub const fn message(&self, option: &str, text: &str) -> Message {
        let mut end = if self.end - self.start > QUOTED { self.start + QUOTED } else { self.end };
        while end < text.len() && text.as_bytes()[end] & 0xC0 == 0x80 {
            end -= 1; // not through the middle of a character
        }
        let message = Message { bytes: [0; 640], len: 0 }
            .push_all("alloc-switch: `")
            .push_all(option)
            .push_all("` has the pair \"")
            .push(text, self.start, end)
            .push_all("\", ");
        match self.problem {
            Problem::Form => message.push_all(
                "which is not `key:value`: write pairs such as \"dirty_decay_ms:1000,narenas:4\"",
            ),
            Problem::Unknown => match nearest(text.as_bytes(), self.start, self.end) {
                Some(key) => message
                    .push_all("but jemalloc has no such option: write `")
                    .push_all(key.name)
                    .push_all("`, or put the pair into `conf_unchecked` if your jemalloc has it"),
                None => message.push_all(
                    "but jemalloc has no such option: write one of those at \
                     https://jemalloc.net/jemalloc.3.html, or put the pair into `conf_unchecked` \
                     if your jemalloc has it",
                ),
            },
            Problem::Configure(flag) => message
                .push_all("but only a jemalloc that is configured with `")
                .push_all(flag)
                .push_all(
                    "` has this option: remove the pair, or put it into `conf_unchecked` if yours is",
                ),
            Problem::Feature(feature) => message
                .push_all("but jemalloc has this option only with the feature `")
                .push_all(feature)
                .push_all("`: turn it on, or remove the pair"),
            Problem::TooNew => message.push_all(
                "but jemalloc 5.3.0 does not have this option: remove it, or use jemalloc 5.3.1",
            ),
            Problem::TooOld => {
                message.push_all("but jemalloc 5.3.1 does not have this option any more: remove it")
            }
            Problem::Value(key) => {
                message.push_all("but this option takes ").push_takes(&key.takes)
            }
            Problem::BackgroundThread => message.push_all(
                "but a program on Apple or musl targets would not start with it: remove it there",
            ),
            Problem::Apple => {
                message.push_all("but jemalloc cannot do this on Apple targets: remove it there")
            }
        }
    }
}

/// The option with the name that is most like the key from `start` on, if any is: at most half of
/// the longer one's letters have to change.
const fn nearest(bytes: &[u8], start: usize, end: usize) -> Option<&'static Key> {
    let mut colon = start;
    while colon < end && bytes[colon] != b':' {
        colon += 1;
    }
    let len = colon - start;
    if len > LONGEST {
        return None;
    }
    let (mut best, mut i) = (None, 0);
    let mut fewest = usize::MAX;
    while i < KEYS.len() {
        let name = KEYS[i].name;
        let longer = if len > name.len() { len } else { name.len() };
        let changes = distance(bytes, start, len, name.as_bytes());
        if changes < fewest && changes * 2 <= longer {
            (best, fewest) = (Some(&KEYS[i]), changes);
        }
        i += 1;
    }
    best
}

/// The longest key that may be a slip of the pen.
const LONGEST: usize = 48;

/// How many letters have to be put in, taken out or exchanged.
const fn distance(bytes: &[u8], start: usize, len: usize, name: &[u8]) -> usize {
    // `row[j]` is the distance between what has been read of `bytes` and the first `j` of `name`.
    let mut row = [0; LONGEST + 1];
    let (mut i, mut j) = (0, 0);
    while j <= name.len() {
        row[j] = j;
        j += 1;
    }
    while i < len {
        let mut diagonal = row[0];
        row[0] = i + 1;
        j = 1;
        while j <= name.len() {
            let exchanged = diagonal + (bytes[start + i] != name[j - 1]) as usize;
            diagonal = row[j];
            let one_more = 1 + if row[j] < row[j - 1] { row[j] } else { row[j - 1] };
            row[j] = if exchanged < one_more { exchanged } else { one_more };
            j += 1;
        }
        i += 1;
    }
    row[name.len()]
}

/// The length of the C string that [`join`] makes. Panics, at compile time, in one sentence, at the
/// first pair that jemalloc would not take. Of the `unchecked` ones only the form is looked at:
/// they are for a jemalloc that this crate does not know.
#[doc(hidden)]
pub const fn joined_len(checked: &[&str], unchecked: &[&str]) -> usize {
    check_all("conf", checked, Some(&LINKED)) + check_all("conf_unchecked", unchecked, None)
}

/// The length of the strings, each with a comma, or the NUL at the end, behind it.
const fn check_all(option: &str, parts: &[&str], linked: Option<&Linked>) -> usize {
    let (mut i, mut len) = (0, 0);
    while i < parts.len() {
        if let Err(refusal) = check(parts[i], linked) {
            panic!("{}", refusal.message(option, parts[i]).as_str());
        }
        len += parts[i].len() + 1;
        i += 1;
    }
    len
}

/// Joins option strings with commas, the unchecked ones last, and ends them with a NUL.
#[doc(hidden)]
pub const fn join<const N: usize>(checked: &[&str], unchecked: &[&str]) -> [u8; N] {
    let mut joined = [b','; N];
    let (mut i, mut at) = (0, 0);
    while i < checked.len() + unchecked.len() {
        let part =
            if i < checked.len() { checked[i] } else { unchecked[i - checked.len()] }.as_bytes();
        let mut j = 0;
        while j < part.len() {
            joined[at] = part[j];
            at += 1;
            j += 1;
        }
        at += 1;
        i += 1;
    }
    joined[N - 1] = 0;
    joined
}
