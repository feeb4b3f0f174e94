//! The checker of `conf` knows what jemalloc knows: both are asked about the same pairs.

#[cfg(alloc_switch_jemalloc)]
#[path = "support/mallctl.rs"]
mod mallctl;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus};

use alloc_switch::conf::{
    self, check, join, joined_len, CType, Key, Linked, Problem, Takes, Version, KEYS, LINKED,
};
use support::fixture;

alloc_switch::global_allocator!();

/// jemalloc 5.3.0, with heap profiles.
fn debian() -> (String, Linked) {
    let library = format!("/usr/lib/{}-linux-gnu/libjemalloc.so", std::env::consts::ARCH);
    assert!(Path::new(&library).exists(), "no {library}: install libjemalloc-dev");
    let out = Command::new("true")
        .env("LD_PRELOAD", &library)
        .env("MALLOC_CONF", "stats_print:true,stats_print_opts:mdablxeh")
        .output()
        .unwrap();
    let out = String::from_utf8(out.stderr).unwrap();
    assert!(out.contains("Version: \"5.3.0-"), "{library} is another version: {out}");
    (library, Linked { version: Version::V5_3_0, profiling: true, debug: false, ..LINKED })
}

#[test]
fn agrees_with_5_3_0() {
    let (library, linked) = debian();
    let mut program = Command::new("true");
    program.env("LD_PRELOAD", library);
    agrees(&mut program, &linked);
}

/// That of this build.
#[test]
#[cfg(alloc_switch_jemalloc)]
fn agrees_with_the_linked_version() {
    assert_ne!(LINKED.version, Version::Unknown);
    let mut program = Command::new(std::env::current_exe().unwrap());
    agrees(program.args(["--list", "--test-threads=1"]), &LINKED);
}

/// Where the checker refuses what jemalloc takes, and why.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stricter {
    /// jemalloc compares `dss`, `metadata_thp`, `percpu_arena`, `hpa_hugify_style` and the words of
    /// these and of `thp` only as far as the text in the string goes, so a beginning of a word,
    /// even an empty one, counts as the first word that begins like it.
    Abbreviation,
    /// jemalloc reads a number as `strtoumax` does, with its own test for overflow that misses most
    /// cases, and converts it: `narenas:-1` and `narenas:4294967295` are the same to it, and
    /// `narenas:4294967297` and `narenas:1`.
    OutsideOfType,
    /// The flag of `configure` is one that Debian sets: C++ operators are there. None that this
    /// crate builds has them.
    Configure,
}

fn why_stricter(pair: &str, linked: &Linked) -> Option<Stricter> {
    let (key, value) = pair.split_once(':')?;
    let words = |name: &str| match KEYS.iter().find(|key| key.name == name)?.takes {
        Takes::Word(words) => Some(words),
        _ => None,
    };
    for name in ["metadata_thp", "dss", "percpu_arena", "hpa_hugify_style", "thp"] {
        let named = if name == "thp" { key == name } else { name.starts_with(key) };
        let abbreviated = words(name).unwrap().iter().any(|word| word.starts_with(value));
        if named && abbreviated {
            return Some(Stricter::Abbreviation);
        }
    }
    if key == "experimental_infallible_new" && linked.version == Version::V5_3_0 {
        return Some(Stricter::Configure);
    }
    let mut takes = KEYS.iter().find(|k| k.name == key)?.takes;
    if let Takes::Or(_, other) = takes {
        takes = *other;
    }
    let (numbers, type_holds): (Vec<&str>, _) = match takes {
        Takes::Ranges(_, most) => (numbers(value), 0..=most.max(u32::MAX as i128 / 2)),
        Takes::Number(CType::Unsigned, ..) => (vec![value], 0..=u32::MAX as i128),
        Takes::Number(CType::Size | CType::U64, ..) => (vec![value], 0..=u64::MAX as i128),
        Takes::Number(..) => (vec![value], i64::MIN as i128..=i64::MAX as i128),
        _ => return None,
    };
    let is_outside = |n: &str| {
        let n = n.trim_start_matches(['\t', '\x0b', '\x0c', '\r', ' ']);
        let (sign, digits) = match n.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, n.strip_prefix('+').unwrap_or(n)),
        };
        let (radix, digits) = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
            Some(hex) => (16, hex),
            None if digits.starts_with('0') => (8, digits),
            None => (10, digits),
        };
        i128::from_str_radix(digits, radix).is_ok_and(|n| !type_holds.contains(&(sign * n)))
    };
    numbers.into_iter().any(is_outside).then_some(Stricter::OutsideOfType)
}

/// The numbers of ranges, each perhaps with a sign: between two of them is `-`, `:` or `|`.
fn numbers(ranges: &str) -> Vec<&str> {
    let (mut numbers, mut start, mut in_number) = (vec![], 0, false);
    for (i, character) in ranges.char_indices() {
        if in_number && matches!(character, '-' | ':' | '|') {
            numbers.push(&ranges[start..i]);
            (start, in_number) = (i + 1, false);
        } else {
            in_number |= character.is_ascii_digit();
        }
    }
    numbers.push(&ranges[start..]);
    numbers
}

/// Gives pairs to the checker and to `program`, whose jemalloc is `linked`.
fn agrees(program: &mut Command, linked: &Linked) {
    let pairs = pairs(0x5eed, 40_000);
    let (formed, malformed): (Vec<_>, Vec<_>) =
        pairs.iter().partition(|pair| check(pair, None).is_ok());
    let mut stricter = BTreeMap::<_, Vec<&str>>::new();
    let (mut taken, mut refused, mut unexplained) = (0, 0, vec![]);

    for some in formed.chunks(500) {
        let complaints = complaints(program, some, linked);
        for pair in some {
            match (check(pair, Some(linked)), complaints.contains(pair.as_str())) {
                (Ok(()), false) => taken += 1,
                (Err(_), true) => refused += 1,
                (Ok(()), true) => unexplained.push(format!("jemalloc refuses {pair:?}")),
                (Err(refusal), false) => match why_stricter(pair, linked) {
                    Some(why) => stricter.entry(why).or_default().push(pair),
                    None => unexplained
                        .push(format!("jemalloc takes {pair:?}, not so {:?}", refusal.problem)),
                },
            }
        }
    }
    assert!(
        unexplained.is_empty(),
        "{} {:#?}",
        unexplained.len(),
        &unexplained[..unexplained.len().min(20)]
    );
    assert!(taken > 2_000 && refused > 20_000, "{taken} and {refused} pairs");
    assert!(stricter[&Stricter::Abbreviation].len() > 10, "{stricter:?}");
    assert!(stricter[&Stricter::OutsideOfType].len() > 10, "{stricter:?}");

    // jemalloc reads no further than to the first that has not the form
    assert!(malformed.len() > 500);
    for pair in malformed.iter().take(500) {
        // with the feature `debug` it stops then
        let (_, out) = start(program, &format!("narenas:2,{pair}"));
        let said =
            ["Malformed conf string", "Conf string ends with "].iter().any(|s| out.contains(s));
        // of what is no pair, jemalloc takes one with no key for an abbreviation
        let no_key = pair.starts_with(':') || pair.is_empty();
        assert!(said || no_key, "jemalloc takes {pair:?}: {out}");
    }
}

/// How a program with these options ends, and what jemalloc says.
fn start(program: &mut Command, options: &str) -> (ExitStatus, String) {
    let out =
        program.env("MALLOC_CONF", options).env("_RJEM_MALLOC_CONF", options).output().unwrap();
    (out.status, String::from_utf8_lossy(&out.stderr).into_owned())
}

/// What jemalloc says when it starts with these options.
fn started(program: &mut Command, options: &str) -> String {
    let (status, stderr) = start(program, options);
    assert!(status.success(), "{options}: {status}\n{stderr}");
    stderr
}

/// The pairs that jemalloc complains about.
fn complaints(program: &mut Command, pairs: &[&String], linked: &Linked) -> BTreeSet<String> {
    // Whatever the pairs turned on is off again before it can do anything.
    let mut options: Vec<_> = pairs.iter().map(|pair| pair.as_str()).collect();
    options.extend(["abort:false", "abort_conf:false", "confirm_conf:false", "stats_print:false"]);
    options.extend(["stats_interval:-1", "hpa:false", "narenas:1", "narenas_ratio:1"]);
    options.extend(["san_guard_small:0", "san_guard_large:0", "percpu_arena:disabled"]);
    if linked.profiling {
        options.extend(["prof:false", "prof_leak_error:false"]);
    }
    let out = started(program, &options.join(","));
    let mut complaints = BTreeSet::new();
    for line in out.split_terminator('\n') {
        let (kind, pair) = line
            .strip_prefix("<jemalloc>: ")
            .and_then(|line| line.split_once(": "))
            .unwrap_or_else(|| panic!("{line}"));
        if kind == "-- Set conf value" {
            continue; // between `confirm_conf:true` and the end
        }
        let known = ["Invalid conf pair", "Invalid conf value", "Out-of-range conf value"];
        assert!(known.contains(&kind) || kind.starts_with("Invalid settings for "), "{line}");
        complaints.insert(pair.to_owned());
    }
    complaints
}

/// Known and mutated keys with known, odd and mutated values, none twice. No value holds a newline,
/// by which a complaint ends.
fn pairs(seed: u64, count: usize) -> BTreeSet<String> {
    let mut random = Random(seed);
    let mut values: Vec<String> = [
        "",
        "true",
        "false",
        "True",
        "yes",
        "0",
        "1",
        "-0",
        "-1",
        "-2",
        "+3",
        "4",
        "--4",
        "- 4",
        "+-4",
        " 4",
        "\t\x0b\x0c\r 4",
        "4 ",
        "00",
        "010",
        "08",
        "0x",
        "0x10",
        "0X1F",
        "0xg",
        "1e3",
        "1k",
        "-16",
        "-17",
        "16",
        "17",
        "63",
        "64",
        "65",
        "2048",
        "2049",
        "65535",
        "65536",
        ".",
        ".5",
        "0.5",
        "1.",
        "1.0",
        "1.00001",
        "1.00002",
        "1.1",
        "65535.99999999999999999999",
        "65536.0",
        "0..5",
        "-.5",
        "2147483647",
        "2147483648",
        "4294967295",
        "4294967296",
        "4294967297",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "18446744072000",
        "18446744072001",
        "30000000000000000000",
        "99999999999999999999999999",
        "0x7000000000000000",
        "0x7000000000000001",
        "0xffffffffffffffff",
        "0x10000000000000000",
        "-9223372036854775808",
        "-9223372036854775809",
        "1-4096:17",
        "1-4096:17|",
        "1-4096:17|4097-8192:4",
        "1-2:3 4-5:6",
        "1-2:3||4-5:6",
        "1-2",
        "1-2:",
        "-2:3",
        "1-:3",
        "1-2:0",
        "1-2:65",
        "-1-2:3",
        "1--2:3",
        "1-2:-3",
        "9-2:3",
        "0x1-0x10:3",
        "1-2:3|x",
        "|",
        "1-99999999999999999999999:3",
        "1-2:2147483648",
        "a:b",
        "a/b",
        "!",
        "é",
        "日本",
        "N/A",
        "not supported",
        "madvise",
        "mdabl",
        "/tmp/\"x\"",
        "%s%n",
    ]
    .iter()
    .map(|value| value.to_string())
    .chain([64, 255, 2000].map(|n| "x".repeat(n))) // jemalloc prints up to 4096 bytes
    .collect();
    for key in KEYS {
        if let Takes::Word(words) = key.takes {
            values.extend(words.iter().map(|word| word.to_string()));
        }
    }
    // every key with every value
    let mut pairs: BTreeSet<_> =
        KEYS.iter().flat_map(|k| values.iter().map(move |v| format!("{}:{v}", k.name))).collect();
    while pairs.len() < count {
        let mut key = KEYS[random.below(KEYS.len())].name.to_owned();
        let mut value = values[random.below(values.len())].clone();
        if random.below(3) == 0 {
            random.mutate(&mut key);
        }
        for _ in 0..random.below(3) {
            random.mutate(&mut value);
        }
        // mutants of what is known, not of two pairs
        if !value.contains([',', '\n']) && !key.contains(',') {
            pairs.insert(format!("{key}:{value}"));
        }
    }
    pairs
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    /// Puts a character in, takes one out, exchanges one, or cuts the text off.
    fn mutate(&mut self, text: &mut String) {
        const CHARACTERS: &[u8] = b"0123456789-+.:|_ \tabcdefxtrueXYZ/!#=\"'";
        let character = CHARACTERS[self.below(CHARACTERS.len())] as char;
        let ends: Vec<_> = text.char_indices().map(|(i, _)| i).chain([text.len()]).collect();
        let at = self.below(ends.len());
        match self.below(4) {
            0 => text.insert(ends[at], character),
            1 if at + 1 < ends.len() => drop(text.remove(ends[at])),
            2 if at + 1 < ends.len() => {
                text.replace_range(ends[at]..ends[at + 1], character.encode_utf8(&mut [0; 4]))
            }
            _ => text.truncate(ends[at]),
        }
    }
}

/// Where a jemalloc has an option, it reads it with the type in the table; and where the table says
/// that there is nothing to read, there is not.
fn assert_readable(linked: &Linked, key: &Key, size: Option<usize>) {
    let expected = match key.c_type() {
        CType::Bool => 1,
        CType::Unsigned | CType::Fixed => 4,
        CType::U64 | CType::I64 => 8,
        CType::Size | CType::SignedSize | CType::Text => size_of::<usize>(),
    };
    if !key.readable {
        assert_eq!(size, None, "{}", key.name);
    } else if key.is_known_to(linked) {
        assert_eq!(size, Some(expected), "{}", key.name);
    } else if let Some(size) = size {
        // 5.3.0 shows `cache_oblivious` and takes it from nobody, Debian has C++
        assert!(
            ["cache_oblivious", "experimental_infallible_new"].contains(&key.name),
            "{}",
            key.name
        );
        assert_eq!(size, expected, "{}", key.name);
    }
}

#[test]
#[cfg(alloc_switch_jemalloc)]
fn options_of_the_linked_version_are_read_back() {
    for key in KEYS {
        assert_readable(&LINKED, key, mallctl::size(key));
    }
}

/// The table has every option that jemalloc's own source compares a key with, and no other.
#[test]
fn the_table_is_complete() {
    let args = ["metadata", "--format-version", "1", "--locked"];
    let out = Command::new(env!("CARGO")).current_dir(support::ROOT).args(args).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|p| p["name"] == "tikv-jemalloc-sys").unwrap();
    let (version, file) = match package["version"].as_str().unwrap() {
        version if version.contains("+5.3.0") => (Version::V5_3_0, "jemalloc.c"),
        version if version.contains("+5.3.1") => (Version::V5_3_1, "conf.c"),
        version => panic!("the table does not know {version}"),
    };
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    let source = manifest.with_file_name("jemalloc").join("src").join(file);
    let source = fs::read_to_string(source).unwrap();
    let (_, source) = source.split_once("CONF_HANDLE_BOOL(opt_confirm_conf").unwrap();
    let (source, _) = source.split_once("\"Invalid conf pair\"").unwrap();

    let mut names = BTreeSet::from(["confirm_conf"]);
    for macro_name in ["CONF_HANDLE_", "CONF_MATCH(", "strncmp("] {
        for call in source.split(macro_name).skip(1) {
            let (before, literal) = call.split_once('"').unwrap();
            let (name, after) = literal.split_once('"').unwrap();
            if macro_name == "CONF_HANDLE_"
                || before.is_empty() && (macro_name == "CONF_MATCH(" || after.starts_with(", k,"))
            {
                names.insert(name);
            }
        }
    }
    let linked = Linked { version, profiling: true, ..LINKED };
    let table: BTreeSet<_> = KEYS
        .iter()
        .filter(|key| {
            let checked = check(&format!("{}:?", key.name), Some(&linked));
            !checked.is_err_and(|r| matches!(r.problem, Problem::TooNew | Problem::TooOld))
        })
        .map(|key| key.name)
        .collect();
    assert_eq!(names, table);
}

/// What `JEMALLOC_OVERRIDE` names has a version that nobody knows while the program compiles.
#[test]
fn presets_start_silently_with_5_3_0() {
    let (library, linked) = debian();
    for features in ["override-malloc", "override-malloc,profiling"] {
        let built =
            fixture("conf").features(features).prebuilt_jemalloc(Path::new(&library)).build();
        for preset in ["one_arena", "profiling", "profiling_armed", "benchmarking"] {
            let mut program = Command::new(built.file(preset));
            assert_eq!(started(&mut program, ""), "", "{preset}");
            // and it would say something
            let said = started(&mut program, "cache_oblivious:false");
            assert_eq!(said, "<jemalloc>: Invalid conf pair: cache_oblivious:false\n");
        }
        let out = built.run("options", &[]);
        assert_eq!(out.lines().count(), KEYS.len());
        for (key, line) in KEYS.iter().zip(out.lines()) {
            let (name, size) = line.split_once(' ').unwrap();
            assert_eq!(name, key.name);
            let size =
                size.strip_prefix("Some(").map(|size| size.trim_end_matches(')').parse().unwrap());
            assert_readable(&linked, key, size);
        }
    }
}

/// The sentence that the checker has for a string.
fn sentence(text: &str, linked: &Linked) -> String {
    match check(text, Some(linked)) {
        Ok(()) => String::new(),
        Err(refusal) => refusal.message("conf", text).as_str().to_owned(),
    }
}

/// What depends on the target or the version; `tests/fixtures/refused` has the other sentences.
#[test]
fn sentences() {
    let linux = Linked { apple: false, musl: false, profiling: true, ..LINKED };
    let apple = Linked { apple: true, ..linux };
    let musl = Linked { musl: true, ..linux };
    let [old, new, unknown] = [Version::V5_3_0, Version::V5_3_1, Version::Unknown]
        .map(|version| Linked { version, ..linux });
    for (text, taken, refused, why) in [
        (
            "background_thread:true",
            vec![linux],
            vec![apple, musl],
            "a program on Apple or musl targets would not start with it: remove it there",
        ),
        ("background_thread:false", vec![linux, apple, musl], vec![], ""),
        (
            "thp:always",
            vec![linux, musl],
            vec![apple],
            "jemalloc cannot do this on Apple targets: remove it there",
        ),
        (
            "percpu_arena:percpu",
            vec![linux, musl],
            vec![apple],
            "jemalloc cannot do this on Apple targets: remove it there",
        ),
        (
            "hpa:true",
            vec![linux, musl],
            vec![apple],
            "jemalloc cannot do this on Apple targets: remove it there",
        ),
        ("hpa:false,thp_:x", vec![], vec![], ""),
        (
            "cache_oblivious:false",
            vec![new, unknown],
            vec![old],
            "jemalloc 5.3.0 does not have this option: remove it, or use jemalloc 5.3.1",
        ),
        (
            "hpa_sec_bytes_after_flush:4096",
            vec![old, unknown],
            vec![new],
            "jemalloc 5.3.1 does not have this option any more: remove it",
        ),
    ] {
        for linked in taken {
            assert_eq!(sentence(text, &linked), "", "{linked:?}");
        }
        for linked in refused {
            let expected = format!("alloc-switch: `conf` has the pair \"{text}\", but {why}");
            assert_eq!(sentence(text, &linked), expected);
        }
    }
}

/// The nearest option, or none.
#[test]
fn slips_of_the_pen() {
    for (slip, meant) in [
        ("narena", Some("narenas")),
        ("Narenas", Some("narenas")),
        ("dirty_decay", Some("dirty_decay_ms")),
        ("decay_ms", Some("dirty_decay_ms")),
        ("background_threads", Some("background_thread")),
        ("lg_sample", Some("lg_prof_sample")),
        ("percpu", Some("percpu_arena")),
        ("tcachemax", Some("tcache_max")),
        ("opt_narenas", Some("narenas")),
        ("x", None),
        ("purge", None),
        ("lg_chunk", None),
    ] {
        let sentence = sentence(&format!("{slip}:1"), &LINKED);
        match meant {
            Some(meant) => {
                assert!(sentence.contains(&format!(": write `{meant}`, or put")), "{sentence}")
            }
            None => assert!(sentence.contains(": write one of those at https://"), "{sentence}"),
        }
    }
}

/// Every preset, for every target and version that it may be compiled for, is taken.
#[test]
fn presets_are_taken() {
    use conf::{BENCHMARKING, ONE_ARENA, PROFILING, PROFILING_ARMED};
    for preset in [BENCHMARKING, ONE_ARENA, PROFILING, PROFILING_ARMED] {
        assert_eq!(sentence(preset, &LINKED), "");
        if LINKED.version == Version::Unknown {
            for version in [Version::V5_3_0, Version::V5_3_1] {
                assert_eq!(sentence(preset, &Linked { version, ..LINKED }), "");
            }
        }
    }
}

#[test]
fn hostile_strings() {
    let long = "x".repeat(10_240);
    for malformed in [
        "",
        ",",
        ":",
        "::",
        "a",
        "narenas:1,",
        ",narenas:1",
        "narenas:1,,narenas:1",
        "!narenas:1",
        "narenas :1",
        "nar\0enas:1",
        "narenas:1\0",
        "narenas:1,\0",
        "prof_prefix:a\0b",
        "é:1",
        "日本:1",
        "a-b:1",
        "a/b:1",
        "a|b:1",
        "\u{feff}narenas:1",
        &long,
        &format!("{long}é:1"),
        &format!("stats_print_opts:{long}\0"),
    ] {
        for linked in [None, Some(&LINKED)] {
            let refusal = check(malformed, linked).unwrap_err();
            assert!(matches!(refusal.problem, Problem::Form), "{malformed:?}: {refusal:?}");
            let sentence = refusal.message("conf", malformed);
            assert!(sentence.as_str().contains("which is not `key:value`"), "{malformed:?}");
        }
    }
    let wide = "日".repeat(100);
    for value in [&format!("narenas:{long}"), &format!("narenas:{wide}"), "narenas:é"] {
        let refusal = check(value, Some(&LINKED)).unwrap_err();
        assert!(matches!(refusal.problem, Problem::Value(_)), "{value}: {refusal:?}");
        let sentence = refusal.message("conf", value); // which quotes the beginning
        assert!(sentence.as_str().starts_with("alloc-switch: `conf` has the pair \"narenas:"));
        assert!(sentence.as_str().len() < 250, "{}", sentence.as_str());
        assert!(check(value, None).is_ok());
    }
    for taken in [
        "stats_print_opts:",
        "slab_sizes:1-4096:17|4097-8192:4",
        &format!("stats_print_opts:{long}"),
    ] {
        assert_eq!(sentence(taken, &LINKED), "");
    }
}

/// The macro's work, on strings of 10 KiB, in the compiler, which counts the steps.
#[test]
fn long_strings_are_joined_while_they_compile() {
    macro_rules! times_8 {
        ($text:expr) => {
            concat!($text, $text, $text, $text, $text, $text, $text, $text)
        };
    }
    const PAIRS: &str = concat!(
        times_8!(times_8!(times_8!("newest_option:always,"))), // 512 pairs
        "narenas:1"
    );
    const CHECKED: &str =
        concat!(times_8!(times_8!(times_8!("lg_tcache_nslots_mul:2,"))), "narenas:1");
    static JOINED: [u8; joined_len(&[CHECKED, "narenas:4"], &[PAIRS, "new:1,newer:"])] =
        join(&[CHECKED, "narenas:4"], &[PAIRS, "new:1,newer:"]);
    assert!(CHECKED.len() > 10_240 && PAIRS.len() > 10_240);
    let expected = format!("{CHECKED},narenas:4,{PAIRS},new:1,newer:\0");
    assert_eq!(JOINED.as_slice(), expected.as_bytes());
    assert_eq!(join::<1>(&[], &[]), [0]);
}

#[test]
#[should_panic(
    expected = "alloc-switch: `conf_unchecked` has the pair \"new=1\", which is not `key:value`"
)]
fn an_unchecked_string_has_the_form() {
    joined_len(&["narenas:1"], &["newest:1,new=1"]);
}
