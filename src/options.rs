//! jemalloc's options: which there are, checking them, and joining them to what jemalloc reads.
//! [`conf`](crate::conf) says what is checked. All of it runs while a program compiles, so there is
//! neither `str` nor `Vec` to work with, but bytes.

use crate::check::VERSION;
use crate::conf::NO_BACKGROUND_THREADS;

/// What is known of the jemalloc that is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkedJemalloc {
    /// 5.3.0
    V5_3_0,
    /// 5.3.1
    V5_3_1,
    /// None: an option may be of either version, so that the author of a program for many targets
    /// sees a mistake on all of them.
    Absent,
    /// Another, with options that nobody here knows.
    Unknown,
}

/// What is known of the jemalloc of this build.
pub const LINKED: LinkedJemalloc = match VERSION {
    _ if cfg!(not(alloc_switch_jemalloc)) => LinkedJemalloc::Absent,
    Some(version) if same(version.as_bytes(), b"5.3.0") => LinkedJemalloc::V5_3_0,
    Some(version) if same(version.as_bytes(), b"5.3.1") => LinkedJemalloc::V5_3_1,
    _ => LinkedJemalloc::Unknown,
};

// Every option of jemalloc 5.3.0 and 5.3.1 as this crate builds them, by what it takes; from
// `malloc_conf_init_helper` in its source. A test holds these lists against both.

/// `true` or `false`
pub const BOOLEAN: &str =
    "abort abort_conf confirm_conf trust_madvise cache_oblivious zero disable_large_size_classes \
     background_thread retain huge_arena_pac_thp tcache experimental_tcache_gc hpa \
     hpa_hugify_sync experimental_hpa_start_huge_if_thp_always experimental_hpa_enforce_hugify \
     stats_print prof prof_active prof_thread_active_init prof_accum prof_gdump prof_final \
     prof_leak prof_leak_error prof_log prof_pid_namespace prof_stats prof_sys_thread_name \
     prof_unbias";

/// A size, a count or a time; some take -1, and `narenas` takes `default`.
pub const INTEGER: &str = "narenas debug_double_free_max_scan mutex_max_spin oversize_threshold \
     calloc_madvise_threshold dirty_decay_ms muzzy_decay_ms max_background_threads \
     process_madvise_max_batch lg_extent_max_active_fit san_guard_small san_guard_large \
     lg_san_uaf_align tcache_max lg_tcache_max lg_tcache_nslots_mul tcache_nslots_small_min \
     tcache_nslots_small_max tcache_nslots_large tcache_gc_incr_bytes tcache_gc_delay_bytes \
     lg_tcache_flush_small_div lg_tcache_flush_large_div hpa_slab_max_alloc \
     hpa_hugification_threshold hpa_hugify_delay_ms hpa_min_purge_interval_ms \
     hpa_min_purge_delay_ms hpa_purge_threshold hpa_sec_nshards hpa_sec_max_alloc \
     hpa_sec_max_bytes hpa_sec_bytes_after_flush hpa_sec_batch_fill_extra \
     experimental_hpa_max_purge_nhp stats_interval lg_prof_sample prof_bt_max lg_prof_interval \
     prof_recent_alloc_max";

/// A word, a ratio, ranges or a file's name
pub const TEXT: &str =
    "zero_realloc junk narenas_ratio percpu_arena bin_shards slab_sizes dss thp metadata_thp \
     tcache_ncached_max hpa_hugification_threshold_ratio hpa_hugify_style \
     hpa_purge_threshold_ratio hpa_dirty_mult stats_print_opts stats_interval_opts prof_prefix \
     prof_time_resolution";

/// Those of them that 5.3.0 does not have.
pub const SINCE_5_3_1: &str =
    "cache_oblivious debug_double_free_max_scan disable_large_size_classes \
     calloc_madvise_threshold process_madvise_max_batch huge_arena_pac_thp tcache_ncached_max \
     experimental_tcache_gc hpa_hugify_sync hpa_hugify_style hpa_min_purge_delay_ms \
     hpa_purge_threshold hpa_purge_threshold_ratio experimental_hpa_max_purge_nhp \
     experimental_hpa_start_huge_if_thp_always experimental_hpa_enforce_hugify prof_bt_max \
     prof_pid_namespace";

/// Those of them that 5.3.1 does not have any more.
pub const UNTIL_5_3_0: &str = "hpa_sec_bytes_after_flush";

/// The length of the C string that [`join`] makes. Panics, at compile time, in one sentence, at the
/// first pair that is refused.
pub const fn joined_len(parts: &[&str]) -> usize {
    let (mut i, mut len) = (0, 0);
    while i < parts.len() {
        check(parts[i].as_bytes(), LINKED);
        len += parts[i].len() + 1;
        i += 1;
    }
    len + (len == 0) as usize
}

/// Joins option strings with commas, and ends them with a NUL.
pub const fn join<const N: usize>(parts: &[&str]) -> [u8; N] {
    let mut joined = [b','; N];
    let (mut i, mut at) = (0, 0);
    while i < parts.len() {
        joined = put(joined, at, parts[i].as_bytes());
        at += parts[i].len() + 1;
        i += 1;
    }
    joined[N - 1] = 0;
    joined
}

/// Copies a text to a place in an array. One that is too long is cut off.
pub(crate) const fn put<const N: usize>(mut array: [u8; N], at: usize, text: &[u8]) -> [u8; N] {
    let mut i = 0;
    while i < text.len() && at + i < N {
        array[at + i] = text[i];
        i += 1;
    }
    array
}

/// Panics at the first pair that is not `key:value`, or that this jemalloc does not take.
pub const fn check(text: &[u8], linked: LinkedJemalloc) {
    let mut rest = text;
    loop {
        let (pair, after) = cut(rest, b',');
        if let Some(problem) = problem(pair, linked) {
            refuse(pair, problem);
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
            return Some("has a space in it: write it without, as in \"narenas:4,zero:true\"");
        }
        if !key[i].is_ascii_alphanumeric() && key[i] != b'_' {
            return Some(FORM);
        }
        i += 1;
    }
    if key.is_empty() || cut(value, 0).1.is_some() {
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
    let (is_boolean, is_integer) = (has_word(BOOLEAN, key), has_word(INTEGER, key));
    if !is_boolean && !is_integer && !has_word(TEXT, key) {
        return Some("is no option of jemalloc's: see https://jemalloc.net/jemalloc.3.html");
    }
    if is_profiling && cfg!(not(feature = "profiling")) {
        return Some("needs heap profiles in jemalloc: turn on the feature `profiling`");
    }
    if same(key, b"lg_san_uaf_align") && cfg!(not(feature = "debug")) {
        return Some("needs jemalloc's own checks: turn on the feature `debug`");
    }
    if matches!(linked, LinkedJemalloc::V5_3_0) && has_word(SINCE_5_3_1, key) {
        return Some("came with jemalloc 5.3.1, and 5.3.0 is linked: remove it");
    }
    if matches!(linked, LinkedJemalloc::V5_3_1) && has_word(UNTIL_5_3_0, key) {
        return Some("went with jemalloc 5.3.1, which is linked: remove it");
    }
    if is_boolean && !on && !same(value, b"false") {
        return Some("takes `true` or `false`");
    }
    if is_integer && !is_number(value) && !(same(key, b"narenas") && same(value, b"default")) {
        return Some("takes an integer, such as 1000");
    }
    None
}

/// A decimal number, with a minus or without.
const fn is_number(value: &[u8]) -> bool {
    let first = matches!(value, [b'-', ..]) as usize;
    let mut i = first;
    while i < value.len() && value[i].is_ascii_digit() {
        i += 1;
    }
    i == value.len() && i > first
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

/// Stops with a sentence that has a piece of the user's text in it. Formatting is not const.
const fn refuse(pair: &[u8], problem: &str) -> ! {
    const START: &[u8] = b"alloc-switch: in `conf`, \"";
    let mut quoted = if pair.len() > 100 { 100 } else { pair.len() };
    while quoted < pair.len() && pair[quoted] & 0xC0 == 0x80 {
        quoted -= 1; // not through the middle of a character
    }
    let message = put([b' '; 256], 0, START);
    let message = put(message, START.len(), pair.split_at(quoted).0);
    let message = put(message, START.len() + quoted, b"\" ");
    let message = put(message, START.len() + quoted + 2, problem.as_bytes());
    match core::str::from_utf8(message.split_at(START.len() + quoted + 2 + problem.len()).0) {
        Ok(message) => panic!("{}", message),
        Err(_) => panic!("a message is pieces of UTF-8"),
    }
}
