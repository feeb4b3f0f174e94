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

use crate::check::VERSION;

/// A program that has had a burst returns its memory while it is idle: jemalloc's background threads
/// give unused pages back a few seconds after they were last used. On Apple and musl targets, which
/// do not have these threads, the pages go back as soon, but only when a thread allocates or frees.
///
/// The threads do not survive `fork`: in the child, its own threads do the work.
pub const GIVE_BACK: &str = if NO_BACKGROUND_THREADS {
    "dirty_decay_ms:5000,muzzy_decay_ms:0"
} else {
    "background_thread:true,dirty_decay_ms:5000,muzzy_decay_ms:0"
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

// Below: what jemalloc knows, checking, and joining.

/// What is known of the jemalloc that is linked.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkedJemalloc {
    V5_3_0,
    V5_3_1,
    /// None: an option may be of either version, so that the author of a program for many targets
    /// sees a mistake on all of them.
    Absent,
    /// Another, with options that nobody here knows.
    Unknown,
}

/// What is known of the jemalloc of this build.
#[doc(hidden)]
pub const LINKED: LinkedJemalloc = match VERSION {
    _ if cfg!(not(alloc_switch_jemalloc)) => LinkedJemalloc::Absent,
    Some(version) if same(version.as_bytes(), b"5.3.0") => LinkedJemalloc::V5_3_0,
    Some(version) if same(version.as_bytes(), b"5.3.1") => LinkedJemalloc::V5_3_1,
    _ => LinkedJemalloc::Unknown,
};

/// What a key takes.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    Boolean,
    /// A size, a count or a time; some take -1.
    Integer,
    /// An integer, or `default`.
    IntegerOrDefault,
    /// A word, a ratio, ranges or a file's name.
    Text,
}

/// Every option of jemalloc 5.3.0 and 5.3.1 as this crate builds them, by what it takes; from
/// `malloc_conf_init_helper` in its source. A test holds these lists against both.
#[doc(hidden)]
pub const OPTIONS: [(ValueKind, &str); 4] = [
    (
        ValueKind::Boolean,
        "abort abort_conf confirm_conf trust_madvise cache_oblivious zero disable_large_size_classes \
         background_thread retain huge_arena_pac_thp tcache experimental_tcache_gc hpa \
         hpa_hugify_sync experimental_hpa_start_huge_if_thp_always experimental_hpa_enforce_hugify \
         stats_print prof prof_active prof_thread_active_init prof_accum prof_gdump prof_final \
         prof_leak prof_leak_error prof_log prof_pid_namespace prof_stats prof_sys_thread_name \
         prof_unbias",
    ),
    (
        ValueKind::Integer,
        "debug_double_free_max_scan mutex_max_spin oversize_threshold calloc_madvise_threshold \
         dirty_decay_ms muzzy_decay_ms max_background_threads process_madvise_max_batch \
         lg_extent_max_active_fit san_guard_small san_guard_large lg_san_uaf_align tcache_max \
         lg_tcache_max lg_tcache_nslots_mul tcache_nslots_small_min tcache_nslots_small_max \
         tcache_nslots_large tcache_gc_incr_bytes tcache_gc_delay_bytes lg_tcache_flush_small_div \
         lg_tcache_flush_large_div hpa_slab_max_alloc hpa_hugification_threshold \
         hpa_hugify_delay_ms hpa_min_purge_interval_ms hpa_min_purge_delay_ms hpa_purge_threshold \
         hpa_sec_nshards hpa_sec_max_alloc hpa_sec_max_bytes hpa_sec_bytes_after_flush \
         hpa_sec_batch_fill_extra experimental_hpa_max_purge_nhp stats_interval lg_prof_sample \
         prof_bt_max lg_prof_interval prof_recent_alloc_max",
    ),
    (ValueKind::IntegerOrDefault, "narenas"),
    (
        ValueKind::Text,
        "zero_realloc junk narenas_ratio percpu_arena bin_shards slab_sizes dss thp metadata_thp \
         tcache_ncached_max hpa_hugification_threshold_ratio hpa_hugify_style \
         hpa_purge_threshold_ratio hpa_dirty_mult stats_print_opts stats_interval_opts prof_prefix \
         prof_time_resolution",
    ),
];

/// Those of them that 5.3.0 does not have.
#[doc(hidden)]
pub const SINCE_5_3_1: &str =
    "cache_oblivious debug_double_free_max_scan disable_large_size_classes \
     calloc_madvise_threshold process_madvise_max_batch huge_arena_pac_thp tcache_ncached_max \
     experimental_tcache_gc hpa_hugify_sync hpa_hugify_style hpa_min_purge_delay_ms \
     hpa_purge_threshold hpa_purge_threshold_ratio experimental_hpa_max_purge_nhp \
     experimental_hpa_start_huge_if_thp_always experimental_hpa_enforce_hugify prof_bt_max \
     prof_pid_namespace";

/// Those of them that 5.3.1 does not have any more.
#[doc(hidden)]
pub const UNTIL_5_3_0: &str = "hpa_sec_bytes_after_flush";

/// The length of the C string that [`join`] makes. Panics, at compile time, in one sentence, at the
/// first pair that [the checks](self#what-is-checked) refuse.
#[doc(hidden)]
pub const fn joined_len(parts: &[&str]) -> usize {
    let (mut i, mut len) = (0, 0);
    while i < parts.len() {
        check(parts[i].as_bytes(), LINKED);
        len += parts[i].len() + 1;
        i += 1;
    }
    if len == 0 {
        1
    } else {
        len
    }
}

/// Joins option strings with commas, and ends them with a NUL.
#[doc(hidden)]
pub const fn join<const N: usize>(parts: &[&str]) -> [u8; N] {
    let mut joined = [b','; N];
    let (mut i, mut at) = (0, 0);
    while i < parts.len() {
        let (part, mut j) = (parts[i].as_bytes(), 0);
        while j < part.len() {
            joined[at] = part[j];
            (at, j) = (at + 1, j + 1);
        }
        at += 1;
        i += 1;
    }
    joined[N - 1] = 0;
    joined
}

/// Panics at the first pair that is not `key:value`, or that this jemalloc does not take.
#[doc(hidden)]
pub const fn check(text: &[u8], linked: LinkedJemalloc) {
    let mut rest = text;
    loop {
        let (pair, after) = cut(rest, b',');
        if let Some(problem) = problem(pair, linked) {
            panic!("{}", Message::new(pair, problem).as_str());
        }
        match after {
            Some(after) => rest = after,
            None => return,
        }
    }
}

/// Why a pair is refused, in words that follow the pair.
const fn problem(pair: &[u8], linked: LinkedJemalloc) -> Option<&'static str> {
    const FORM: &str = "is not `key:value`: write pairs such as \"dirty_decay_ms:1000,narenas:4\"";
    let (key, value) = match cut(pair, b':') {
        (key, Some(value)) => (key, value),
        _ => return Some(FORM),
    };
    let mut i = 0;
    while i < key.len() {
        if key[i].is_ascii_whitespace() {
            return Some("has a space in it: write pairs without any, as in \"narenas:4,zero:true\"");
        }
        if !key[i].is_ascii_alphanumeric() && key[i] != b'_' {
            return Some(FORM);
        }
        i += 1;
    }
    if key.is_empty() || contains(value, 0) {
        return Some(FORM);
    }
    let on = same(value, b"true");
    if NO_BACKGROUND_THREADS && on && same(key, b"background_thread") {
        return Some("stops a program on Apple and musl targets at its start: remove it there");
    }
    if let LinkedJemalloc::Unknown = linked {
        return None;
    }
    let is_profiling = key.len() >= 4 && same(key.split_at(4).0, b"prof")
        || same(key, b"lg_prof_sample")
        || same(key, b"lg_prof_interval");
    let kind = match kind(key) {
        Some(kind) => kind,
        None => return Some("is no option of jemalloc's: see https://jemalloc.net/jemalloc.3.html"),
    };
    if is_profiling && cfg!(not(feature = "profiling")) {
        return Some("needs heap profiles in jemalloc: turn on the feature `profiling`");
    }
    if same(key, b"lg_san_uaf_align") && cfg!(not(feature = "debug")) {
        return Some("needs jemalloc's own checks: turn on the feature `debug`");
    }
    match linked {
        LinkedJemalloc::V5_3_0 if has_word(SINCE_5_3_1, key) => {
            return Some("came with jemalloc 5.3.1, and 5.3.0 is linked: remove it")
        }
        LinkedJemalloc::V5_3_1 if has_word(UNTIL_5_3_0, key) => {
            return Some("went with jemalloc 5.3.1, which is linked: remove it")
        }
        _ => {}
    }
    match kind {
        ValueKind::Boolean if !on && !same(value, b"false") => Some("takes `true` or `false`"),
        ValueKind::Integer if !is_integer(value) => Some("takes an integer, such as 1000"),
        ValueKind::IntegerOrDefault if !is_integer(value) && !same(value, b"default") => {
            Some("takes an integer, such as 4, or `default`")
        }
        _ => None,
    }
}

const fn kind(key: &[u8]) -> Option<ValueKind> {
    let mut i = 0;
    while i < OPTIONS.len() {
        if has_word(OPTIONS[i].1, key) {
            return Some(OPTIONS[i].0);
        }
        i += 1;
    }
    None
}

/// A decimal number, or a hexadecimal one (`0x…`), with a sign or without.
const fn is_integer(value: &[u8]) -> bool {
    let (mut digits, mut i) = (value, 0);
    if let [b'-' | b'+', rest @ ..] = digits {
        digits = rest;
    }
    let hexadecimal = matches!(digits, [b'0', b'x' | b'X', _, ..]);
    if hexadecimal {
        digits = digits.split_at(2).1;
    }
    while i < digits.len() {
        if !(digits[i].is_ascii_digit() || hexadecimal && digits[i].is_ascii_hexdigit()) {
            return false;
        }
        i += 1;
    }
    !digits.is_empty()
}

/// What is before the first such byte, and what is behind it.
const fn cut(text: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    let mut i = 0;
    while i < text.len() {
        if text[i] == at {
            let (before, after) = text.split_at(i);
            return (before, Some(after.split_at(1).1));
        }
        i += 1;
    }
    (text, None)
}

const fn contains(text: &[u8], byte: u8) -> bool {
    cut(text, byte).1.is_some()
}

const fn has_word(words: &str, word: &[u8]) -> bool {
    let mut rest = words.as_bytes();
    loop {
        let (first, after) = cut(rest, b' ');
        if same(first, word) {
            return true;
        }
        match after {
            Some(after) => rest = after,
            None => return false,
        }
    }
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

/// An error message with a piece of the user's text in it. Formatting is not const, so bytes are
/// copied by hand.
struct Message {
    bytes: [u8; 256],
    len: usize,
}

impl Message {
    const fn new(pair: &[u8], problem: &str) -> Self {
        Message { bytes: [0; 256], len: 0 }
            .push(b"alloc-switch: in `conf`, \"")
            .push(pair.split_at(whole_characters(pair, 100)).0)
            .push(b"\" ")
            .push(problem.as_bytes())
    }

    const fn push(mut self, text: &[u8]) -> Self {
        let mut i = 0;
        while i < text.len() {
            self.bytes[self.len] = text[i];
            self.len += 1;
            i += 1;
        }
        self
    }

    const fn as_str(&self) -> &str {
        match core::str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(message) => message,
            Err(_) => panic!("a message is pieces of UTF-8"),
        }
    }
}

/// At most `most` bytes, and not through the middle of a character.
const fn whole_characters(text: &[u8], most: usize) -> usize {
    let mut end = if text.len() > most { most } else { text.len() };
    while end < text.len() && text[end] & 0xC0 == 0x80 {
        end -= 1;
    }
    end
}
