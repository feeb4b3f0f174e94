//! By what each allocator is known, and the search for it.
//!
//! Stripping removes every name, so the evidence is what an allocator cannot work without: the
//! messages that it prints and the environment variables that it reads. They count only as the ends
//! of whole C strings, each with its final NUL, and only several together, so that a program that
//! merely speaks of an allocator (this one) is no carrier. Names of symbols are welcome besides.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use aho_corasick::AhoCorasick;
use memchr::memmem;

use crate::{Allocator, Carried, Name, Sureness};

/// Messages of jemalloc 4 and 5 from four of its source files, without the newline and the NUL that
/// each ends in. No configure option or target leaves one out.
pub const MESSAGES: [&str; 6] = [
    "<jemalloc>: Error in atexit()",                // jemalloc.c
    "<jemalloc>: Reducing narenas to limit (%d)",   // jemalloc.c
    "<jemalloc>: Unsupported system page size",     // pages.c
    "<jemalloc>: Failure in xmallctl(\"%s\", ...)", // ctl.h
    "___ Begin jemalloc statistics ___",            // stats.c
    "--- End jemalloc statistics ---",              // stats.c
];

/// How many of [`MESSAGES`] a carrier has at the least: other versions may have reworded one or
/// two.
pub const ENOUGH: usize = 4;

/// The environment variable that jemalloc reads, after its prefix: `MALLOC_CONF`,
/// `_RJEM_MALLOC_CONF`.
pub const ENVIRONMENT: &str = "MALLOC_CONF";

/// jemalloc's functions and variables beyond the standard ones, by which a symbol without a prefix
/// is known.
const JEMALLOC_INTERFACE: [&str; 13] = [
    "dallocx",
    "jemalloc_constructor",
    "mallctl",
    "mallctlbymib",
    "mallctlnametomib",
    "malloc_conf",
    "malloc_message",
    "malloc_stats_print",
    "mallocx",
    "nallocx",
    "rallocx",
    "sdallocx",
    "xallocx",
];

/// The sizes, in units of 16 bytes, that musl's mallocng hands out: a table of 16-bit numbers in
/// its read-only data. Here they have 32 bits, or this program would carry the table too.
const MALLOCNG_SIZES: [u32; 48] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 18, 20, 25, 31, 36, 42, 50, 63, 72, 84, 102, 127, 146,
    170, 204, 255, 292, 340, 409, 511, 584, 682, 818, 1023, 1169, 1364, 1637, 2047, 2340, 2730,
    3276, 4095, 4680, 5460, 6552, 8191,
];

/// How an allocator other than jemalloc is recognised.
struct Known {
    allocator: Allocator,
    /// What [`Carried::version`] says of it, where the messages are those of one flavour.
    flavour: Option<&'static str>,
    /// Ends of C strings, all before their NUL.
    messages: &'static [&'static str],
    /// How many of them a carrier has at the least.
    enough: usize,
    /// Functions and variables that only it defines.
    symbols: &'static [&'static str],
    /// How mangled names begin that only it defines.
    mangled: &'static [&'static str],
    /// How the names of its shared libraries begin.
    libraries: &'static [&'static str],
}

const NOTHING: Known = Known {
    allocator: Allocator::Jemalloc,
    flavour: None,
    messages: &[],
    enough: usize::MAX,
    symbols: &[],
    mangled: &[],
    libraries: &[],
};

const KNOWN: [Known; 10] = [
    Known { libraries: &["libjemalloc.", "jemalloc."], ..NOTHING },
    Known {
        allocator: Allocator::Mimalloc,
        messages: &[
            "corrupted thread-free list\n",
            "option '%s': %ld %s\n",
            "unable to use secure randomness\n",
            "huge OS page allocation timed out (after allocating %zu page(s))\n",
            "could not allocate contiguous huge OS page %zu at %p\n",
            "environment option mimalloc_%s has an invalid value.\n",
            "allocation request is too large (%zu bytes)\n",
            "reserve_huge_os_pages_at",
            "use_numa_nodes",
        ],
        enough: 5,
        // Not its interface, which tools that listen to allocators define as well.
        symbols: &["_mi_malloc_generic", "_mi_process_init", "mi_manage_os_memory"],
        libraries: &["libmimalloc.", "libmimalloc-", "mimalloc.", "mimalloc-"],
        ..NOTHING
    },
    Known {
        allocator: Allocator::Snmalloc,
        messages: &[
            "Failed to initialise snmalloc.",
            "Failed to initialise thread local allocator.",
            "Corruption in core locking primitive. Aborting execution.",
            "Internal error: format string missing `{}`!",
            "Failed to get system randomness",
        ],
        enough: 3,
        symbols: &["sn_rust_alloc", "snmalloc_main"],
        mangled: &["_ZN8snmalloc"],
        libraries: &["libsnmalloc"],
        ..NOTHING
    },
    Known {
        allocator: Allocator::Tcmalloc,
        flavour: Some("of gperftools"),
        messages: &[
            "TCMALLOC_RELEASE_RATE",
            "TCMALLOC_TRANSFER_NUM_OBJ",
            "TCMALLOC_MAX_TOTAL_THREAD_CACHE_BYTES",
            "TCMALLOC_AGGRESSIVE_DECOMMIT",
            "TCMALLOC_HEAP_LIMIT_MB",
            "TCMALLOC_SKIP_SBRK",
            "TCMALLOC_LARGE_ALLOC_REPORT_THRESHOLD",
        ],
        enough: 5,
        symbols: &["tc_malloc_skip_new_handler"],
        libraries: &["libtcmalloc.", "libtcmalloc_"],
        ..NOTHING
    },
    Known {
        allocator: Allocator::Tcmalloc,
        flavour: Some("of Google"),
        messages: &[
            "TCMALLOC_HPAA_CONTROL",
            "TCMALLOC_NUMA_AWARE",
            "TCMALLOC_LEGACY_SIZE_CLASSES",
            "TCMALLOC_COARSE_LFR_TRACKERS",
            "tcmalloc_region_%s",
        ],
        enough: 3,
        symbols: &["TCMallocInternalMalloc", "TCMallocInternalNew"],
        ..NOTHING
    },
    Known {
        allocator: Allocator::Rpmalloc,
        // It has no message that a build cannot leave out.
        symbols: &["rpmalloc_initialize", "rpmalloc_thread_initialize"],
        libraries: &["librpmalloc"],
        ..NOTHING
    },
    Known {
        allocator: Allocator::HardenedMalloc,
        messages: &[
            "fatal allocator error: ",
            "canary corrupted",
            "failed to unprotect allocator state",
            "invalid uninitialized allocator usage",
            "<malloc version=\"hardened_malloc-1\">",
            "invalid free within a slab yet to be used",
            "failed to unprotect memory for regions table",
            "invalid malloc_usable_size",
        ],
        enough: 4,
        libraries: &["libhardened_malloc"],
        ..NOTHING
    },
    Known {
        allocator: Allocator::Scudo,
        messages: &[
            "Scudo ERROR: ",
            "SCUDO_OPTIONS",
            "Scudo WARNING: found %d unrecognized flag(s):\n",
            "corrupted chunk header at address %p\n",
            "invalid chunk state when %s address %p\n",
            "Scudo OOM: The process has exhausted %zuM for size class %zu.\n",
            "invalid sized delete when deallocating address %p (%zu vs %zu)\n",
        ],
        enough: 4,
        symbols: &["__scudo_print_stats"],
        mangled: &["_ZN5scudo", "_ZN7__scudo"],
        libraries: &["libscudo", "libclang_rt.scudo"],
        ..NOTHING
    },
    Known {
        allocator: Allocator::Mallocng,
        symbols: &["__malloc_size_classes", "__malloc_context", "__malloc_alloc_meta"],
        ..NOTHING
    },
    Known {
        allocator: Allocator::Glibc,
        messages: &[
            "malloc(): corrupted top size",
            "free(): invalid pointer",
            "malloc_consolidate(): invalid chunk size",
            "corrupted size vs. prev_size",
            "free(): double free detected in tcache 2",
            "munmap_chunk(): invalid pointer",
            "realloc(): invalid pointer",
            "corrupted double-linked list",
        ],
        enough: 5,
        ..NOTHING
    },
];

/// Messages that tell one build of an allocator from another.
#[derive(Clone, Copy)]
enum Mark {
    /// A message of jemalloc's, by its place in [`MESSAGES`].
    Jemalloc(usize),
    /// The end of the name of jemalloc's environment variable.
    Environment,
    /// A message of another, by its places in [`KNOWN`] and there.
    Known(usize, usize),
    Profiling,
    Statistics,
    Debug,
    Mimalloc2,
    Mimalloc3,
    MallocngSizes,
    Rust,
}

const TELLING: [(Mark, &str); 7] = [
    // It prints the process's memory map at the end of each heap profile.
    (Mark::Profiling, "MAPPED_LIBRARIES:\n"),
    (Mark::Statistics, "Merged arenas stats:\n"),
    (Mark::Debug, "<jemalloc>: %s:%d: Failed assertion: \"%s\"\n"),
    (
        Mark::Mimalloc2,
        "commit mask overflow: idx=%zu count=%zu start=%zx end=%zx p=0x%p size=%zu fullsize=%zu\n",
    ),
    (Mark::Mimalloc2, "target_segments_per_thread"),
    (Mark::Mimalloc3, "page_full_retain"),
    (Mark::Mimalloc3, "page_max_candidates"),
];

/// What the search looks for: the bytes, and what finding them means.
struct Patterns {
    automaton: AhoCorasick,
    meaning: Vec<Mark>,
}

fn patterns() -> &'static Patterns {
    static PATTERNS: OnceLock<Patterns> = OnceLock::new();
    PATTERNS.get_or_init(|| {
        let jemalloc = MESSAGES.iter().enumerate();
        let jemalloc = jemalloc.map(|(at, text)| (Mark::Jemalloc(at), format!("{text}\n")));
        let others = KNOWN.iter().enumerate().flat_map(|(place, known)| {
            let messages = known.messages.iter().enumerate();
            messages.map(move |(at, text)| (Mark::Known(place, at), (*text).to_owned()))
        });
        let telling = TELLING.iter().map(|(mark, text)| (*mark, (*text).to_owned()));
        let strings = jemalloc
            .chain(others)
            .chain(telling)
            .chain([(Mark::Environment, ENVIRONMENT.to_owned())]);
        let mut bytes = Vec::new();
        let mut meaning = Vec::new();
        for (mark, text) in strings {
            // Only here do the texts get their NUL, so that this program has none of them.
            bytes.push([text.as_bytes(), b"\0"].concat());
            meaning.push(mark);
        }
        let sizes = MALLOCNG_SIZES.map(|size| size as u16);
        for table in [sizes.map(u16::to_le_bytes), sizes.map(u16::to_be_bytes)] {
            bytes.push(table.concat());
            meaning.push(Mark::MallocngSizes);
        }
        // Rust's standard library knows it, as text of its own kind: without a NUL.
        bytes.push(b"RUST_BACKTRACE".to_vec());
        meaning.push(Mark::Rust);
        let automaton = AhoCorasick::new(&bytes).expect("a few short patterns fit into one");
        Patterns { automaton, meaning }
    })
}

/// The evidence, gathered over all parts of a file.
#[derive(Default)]
pub(crate) struct Evidence {
    jemalloc: [bool; MESSAGES.len()],
    /// Names of its variable that are whole C strings, and those that something stands before.
    variables: BTreeSet<String>,
    glued: BTreeSet<String>,
    versions: BTreeSet<String>,
    /// For each of [`KNOWN`]: which messages were found, one bit each.
    messages: [u16; KNOWN.len()],
    /// For each of [`KNOWN`]: a symbol that only it defines.
    symbols: [Option<String>; KNOWN.len()],
    profiling: bool,
    statistics: bool,
    debug: bool,
    mimalloc_2: bool,
    mimalloc_3: bool,
    mallocng_sizes: bool,
    /// Rust's standard library is inside.
    pub rust: bool,
    /// Rust's allocator for WebAssembly.
    pub dlmalloc: bool,
}

/// What the strings say of a jemalloc.
pub(crate) struct JemallocStrings {
    pub version: Option<String>,
    pub variable: String,
    pub profiling: bool,
    pub statistics: bool,
    pub debug: bool,
}

impl Evidence {
    /// How often [`Self::scan`] goes over the data.
    pub const PASSES: usize = 2;
    /// How often [`Self::scan_dlmalloc`] does.
    pub const DLMALLOC_PASSES: usize = 2;

    /// Looks at each C string in `data`. A linker may have let a string share the tail of another,
    /// or put it behind a Rust string, which has no NUL: only the end of each counts.
    pub fn scan(&mut self, data: &[u8]) {
        let patterns = patterns();
        for found in patterns.automaton.find_iter(data) {
            match patterns.meaning[found.pattern().as_usize()] {
                Mark::Jemalloc(at) => self.jemalloc[at] = true,
                Mark::Environment => {
                    let (name, whole) = variable(&data[..found.end() - 1]);
                    let names = if whole { &mut self.variables } else { &mut self.glued };
                    if names.len() < 16 {
                        names.insert(name);
                    }
                }
                Mark::Known(place, at) => self.messages[place] |= 1 << at,
                Mark::Profiling => self.profiling = true,
                Mark::Statistics => self.statistics = true,
                Mark::Debug => self.debug = true,
                Mark::Mimalloc2 => self.mimalloc_2 = true,
                Mark::Mimalloc3 => self.mimalloc_3 = true,
                Mark::MallocngSizes => self.mallocng_sizes = true,
                Mark::Rust => self.rust = true,
            }
        }
        static COMMIT: OnceLock<memmem::Finder<'static>> = OnceLock::new();
        let commit = COMMIT.get_or_init(|| memmem::Finder::new("-g"));
        for at in commit.find_iter(data) {
            // forty digits, then the end of the C string
            let Some((hash, [0, ..])) = data[at + 2..].split_at_checked(40) else { continue };
            if self.versions.len() < 16 && hash.iter().all(u8::is_ascii_hexdigit) {
                self.versions.extend(version(&data[..at]));
            }
        }
    }

    /// Looks for Rust's allocator for WebAssembly: its assertion, whose text has no NUL, or the
    /// names of its functions.
    pub fn scan_dlmalloc(&mut self, module: &[u8]) {
        self.dlmalloc |= ["assertion failed: psize >= size + min_overhead", "8dlmalloc8dlmalloc"]
            .iter()
            .any(|text| memmem::find(module, text.as_bytes()).is_some());
    }

    /// Takes notice of a symbol that the file defines.
    pub fn defines(&mut self, name: &[u8]) {
        for (known, found) in KNOWN.iter().zip(&mut self.symbols) {
            if found.is_none()
                && (known.symbols.iter().any(|symbol| symbol.as_bytes() == name)
                    || known.mangled.iter().any(|start| name.starts_with(start.as_bytes())))
            {
                *found = Some(crate::text(&name[..name.len().min(200)]));
            }
        }
    }

    /// What the strings say of jemalloc, if they are those of a carrier.
    pub fn jemalloc(&self) -> Option<JemallocStrings> {
        let messages = self.jemalloc.iter().filter(|found| **found).count();
        // jemalloc's own is a whole string, which only a linker may have put behind something else.
        let names = if self.variables.is_empty() { &self.glued } else { &self.variables };
        // Of several, the one with a prefix: programs name the plain one in their help. Of several
        // of these, the shortest: strings without an end may form a longer one with it.
        let prefixed = names.iter().filter(|name| name.ends_with(&format!("_{ENVIRONMENT}")));
        let variable = prefixed.min_by_key(|name| name.len()).or(names.first())?.clone();
        (messages >= ENOUGH).then(|| JemallocStrings {
            version: self.version(),
            variable,
            profiling: self.profiling,
            statistics: self.statistics,
            debug: self.debug,
        })
    }

    fn version(&self) -> Option<String> {
        // Two candidates: one is another program's, and nothing tells which.
        (self.versions.len() == 1).then(|| self.versions.first().cloned())?
    }

    /// Every allocator that is known and found, those that the file needs as shared libraries too.
    pub fn carried(&self, needed: &[Name]) -> Vec<Carried> {
        let mut all = Vec::new();
        if self.jemalloc().is_some() {
            let found = self.jemalloc.iter().filter(|found| **found).count();
            let sureness =
                if found == MESSAGES.len() { Sureness::Certain } else { Sureness::Likely };
            all.push(Carried {
                allocator: Allocator::Jemalloc,
                version: self.version(),
                library: None,
                sureness,
                evidence: format!("{found} of {} messages, its variable", MESSAGES.len()),
            });
        }
        for (place, known) in KNOWN.iter().enumerate() {
            if let Some(carried) = self.carries(place, known) {
                all.push(carried);
            }
            for library in needed {
                let file = library.0.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
                if known.libraries.iter().any(|start| file.starts_with(start.as_bytes())) {
                    all.push(Carried {
                        allocator: known.allocator,
                        version: None,
                        library: Some(library.clone()),
                        sureness: Sureness::Certain,
                        evidence: "the shared library".to_owned(),
                    });
                }
            }
        }
        all
    }

    fn carries(&self, place: usize, known: &Known) -> Option<Carried> {
        let found = self.messages[place].count_ones() as usize;
        let symbol = self.symbols[place].as_deref();
        let table = known.allocator == Allocator::Mallocng && self.mallocng_sizes;
        if symbol.is_none() && found < known.enough && !table {
            return None;
        }
        let sure = symbol.is_some() || found == known.messages.len() || table;
        let mut evidence = Vec::new();
        if found > 0 {
            evidence.push(format!("{found} of {} messages", known.messages.len()));
        }
        if table {
            evidence.push("its table of sizes".to_owned());
        }
        evidence.extend(symbol.map(|symbol| format!("the symbol {symbol}")));
        let version = match known.allocator {
            Allocator::Mimalloc => match (self.mimalloc_2, self.mimalloc_3) {
                (true, false) => Some("2"),
                (false, true) => Some("3"),
                _ => None,
            },
            _ => known.flavour,
        };
        Some(Carried {
            allocator: known.allocator,
            version: version.map(str::to_owned),
            library: None,
            sureness: if sure { Sureness::Certain } else { Sureness::Likely },
            evidence: evidence.join(", "),
        })
    }
}

/// Whether a symbol, defined or not, names jemalloc or its Rust bindings.
pub(crate) fn names_jemalloc(name: &[u8]) -> bool {
    static BINDINGS: OnceLock<memmem::Finder<'static>> = OnceLock::new();
    let bindings = BINDINGS.get_or_init(|| memmem::Finder::new("tikv_jemalloc"));
    // Mach-O and 32-bit Windows put an underscore before every C name.
    let bare = name.strip_prefix(b"_").unwrap_or(name);
    [name, bare].iter().any(|name| {
        name.starts_with(b"_rjem_")
            || name.starts_with(b"je_")
            || JEMALLOC_INTERFACE.iter().any(|known| known.as_bytes() == *name)
    }) || bindings.find(name).is_some()
}

/// The name of the variable at the end of `data`, and whether it is a whole C string.
fn variable(data: &[u8]) -> (String, bool) {
    const LONGEST: usize = 40;
    let of_name = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
    let length = data.iter().rev().take(LONGEST).take_while(|byte| of_name(byte)).count();
    let (before, name) = data.split_at(data.len() - length);
    // What ends in the name itself is another string, such as alloc-switch's own.
    let prefix = &name[..length - ENVIRONMENT.len()];
    let other = memmem::rfind(prefix, ENVIRONMENT.as_bytes()).map(|at| at + ENVIRONMENT.len());
    // A longer one is glued to something else.
    let start = if length == LONGEST { prefix.len() } else { 0 };
    let start = other.unwrap_or(start);
    (crate::text(&name[start..]), start == 0 && matches!(before, [] | [.., 0]))
}

/// Takes `5.3.1` out of text that ends in `5.3.1-0`, to which `-g` and forty hexadecimal digits
/// belong: `git describe --long --abbrev=40`, from which jemalloc's `configure` makes its version,
/// and which hardly anybody else asks for.
fn version(text: &[u8]) -> Option<String> {
    let digits = text.iter().rev().take(9).take_while(|byte| byte.is_ascii_digit()).count();
    let rest = text[..text.len() - digits].strip_suffix(b"-")?;
    let number = rest.iter().rev().take(16);
    let length = number.take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let number = std::str::from_utf8(&rest[rest.len() - length..]).ok()?;
    let parts = number.split('.').filter(|part| !part.is_empty()).count();
    (digits > 0 && parts == 3 && number.split('.').count() == 3).then(|| number.to_owned())
}
