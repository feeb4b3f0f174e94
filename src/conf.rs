//! jemalloc's options: checked and joined while the program compiles.

/// The longest pair that an error message quotes whole.
const QUOTED: usize = 120;

/// An error message with a piece of the user's text in it. Formatting is not const, so bytes are copied by hand.
struct Message {
    bytes: [u8; 400],
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

    const fn as_str(&self) -> &str {
        match core::str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(message) => message,
            Err(_) => "alloc-switch: `conf` has a pair that is not `key:value`",
        }
    }
}

/// Panics, at compile time, unless `part` is `key:value(,key:value)*` with keys of letters, digits and underscores; the
/// message quotes the first pair that is not. A value may hold whatever jemalloc takes, further colons too.
const fn check(part: &str) {
    let bytes = part.as_bytes();
    let (mut start, mut i) = (0, 0);
    let (mut in_key, mut good) = (true, true);
    while i <= bytes.len() {
        if i == bytes.len() || bytes[i] == b',' {
            if in_key || !good || bytes[i - 1] == b':' {
                refuse_pair(part, start, i);
            }
            (start, in_key) = (i + 1, true);
        } else if in_key && bytes[i] == b':' {
            good = i > start;
            in_key = false;
        } else if in_key {
            good = bytes[i].is_ascii_alphanumeric() || bytes[i] == b'_';
            if !good {
                in_key = false;
            }
        } else {
            good &= bytes[i] != 0;
        }
        i += 1;
    }
}

const fn refuse_pair(part: &str, start: usize, end: usize) {
    let mut end = if end - start > QUOTED { start + QUOTED } else { end };
    while end < part.len() && part.as_bytes()[end] & 0xC0 == 0x80 {
        end -= 1; // not through the middle of a character
    }
    let message = Message { bytes: [0; 400], len: 0 }
        .push_all("alloc-switch: `conf` has the pair \"")
        .push(part, start, end)
        .push_all(
            "\", which is not `key:value`: write pairs such as \"dirty_decay_ms:1000,narenas:4\"",
        );
    panic!("{}", message.as_str());
}

/// The length of the C string that [`join`] makes.
#[doc(hidden)]
pub const fn joined_len(parts: &[&str], _unchecked: &[&str]) -> usize {
    let (mut i, mut len) = (0, 0);
    while i < parts.len() {
        check(parts[i]);
        len += parts[i].len() + 1; // a comma, or the NUL at the end
        i += 1;
    }
    len
}

/// Joins option strings with commas and ends them with a NUL.
#[doc(hidden)]
pub const fn join<const N: usize>(parts: &[&str], _unchecked: &[&str]) -> [u8; N] {
    let mut joined = [b','; N];
    let (mut i, mut at) = (0, 0);
    while i < parts.len() {
        let part = parts[i].as_bytes();
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

// Presets: each a constant for `conf`, alone or in brackets with more. Their figures, and the options that lost, are in
// docs/figures.md.

/// Less memory, for more waiting: one arena that all threads share, small thread caches, and unused pages go back within
/// a fifth of a second instead of ten. Threads that allocate all the time, on many processors, wait for each other; a number
/// in `narenas` after it gives them more arenas.
///
/// Blocks of 8 MiB and more, whose pages jemalloc gives back at once, are kept as long as the others (up to 1 GiB), because
/// a vector that doubles asks for them again at once.
///
/// `cargo bench --bench programs` measured, on two processors and against glibc's allocator, 0.56 of the processor time and
/// 1.16 of the peak memory in the mean of its workloads (without options 0.60 and 1.18), and 0.90 of the mean resident memory on
/// the one for fragmentation. Threads that live for a moment take 1.29 of glibc's time (without options 2.25).
pub const LOW_MEMORY: &str =
    "narenas:1,tcache_nslots_small_max:32,cache_oblivious:false,oversize_threshold:1073741824,dirty_decay_ms:200";

/// Less time, for more memory: huge pages on Linux (where the system grants them to those who ask:
/// `/sys/kernel/mm/transparent_hugepage/enabled`), and with glibc a thread in the background that gives pages back, so that
/// others need not. Each arena in use then holds 2 MiB at least, so there is one for each processor instead of four; and the
/// background thread is not in a child after `fork`.
///
/// Blocks of 8 MiB and more, whose pages jemalloc gives back at once, are kept as long as the others (up to 1 GiB).
///
/// `cargo bench --bench programs` measured, on two processors and against glibc's allocator, 0.52 of the processor time and
/// 1.50 of the peak memory in the mean of its workloads (without options 0.60 and 1.18). Vectors that double take 0.71 of
/// glibc's time instead of 1.97.
pub const THROUGHPUT: &str = if cfg!(all(target_os = "linux", target_env = "gnu")) {
    "background_thread:true,thp:always,narenas_ratio:1,cache_oblivious:false,oversize_threshold:1073741824"
} else if cfg!(target_os = "linux") {
    "thp:always,narenas_ratio:1,cache_oblivious:false,oversize_threshold:1073741824"
} else {
    "cache_oblivious:false,oversize_threshold:1073741824"
};

/// Heap profiles from the start, of one allocation in every 512 KiB on average; see
/// [`Switch::dump_profile`](crate::Switch::dump_profile). Add `prof_active:false` to sample nothing before
/// [`Switch::start_profile`](crate::Switch::start_profile).
///
/// It trades time and memory for knowing: `cargo bench --bench programs` measured 0.69 of the processor time and 1.38 of the
/// peak memory of glibc's allocator in the mean of its workloads, where the same program without profiles has 0.60 and 1.18.
///
/// Without the feature `profiling` jemalloc does not know these options and would say so on standard error at every start,
/// so the constant then is a default of jemalloc's.
pub const PROFILING: &str = if cfg!(feature = "profiling") {
    "prof:true,prof_active:true,lg_prof_sample:19"
} else {
    "stats_print:false"
};

/// The same work in every run, for memory: pages are never given back, which jemalloc otherwise does by the clock, and no
/// thread works beside the program's.
///
/// `cargo bench --bench programs` measured 0.57 of the processor time and 1.23 of the peak memory of glibc's allocator in the
/// mean of its workloads, against 0.60 and 1.18 without options. A program that runs for long holds its peak to the end.
pub const BENCHMARKING: &str = if cfg!(any(target_vendor = "apple", target_env = "musl")) {
    "dirty_decay_ms:-1,muzzy_decay_ms:-1"
} else {
    "dirty_decay_ms:-1,muzzy_decay_ms:-1,background_thread:false"
};

pub const ENVIRONMENT: &str = "x";
/// x
pub const PROFILING_ARMED: &str = "prof:true";
