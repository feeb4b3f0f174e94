//! What `conf` is checked for, held against jemalloc itself: its source for the names, the program
//! for the values.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{self, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::sync::Once;

use alloc_switch::__private::{
    check, join, joined_len, LinkedJemalloc, BOOLEAN, INTEGER, LINKED, SINCE_5_3_1, TEXT,
    UNTIL_5_3_0,
};
use alloc_switch::conf;
use LinkedJemalloc::{Absent, Unknown, V5_3_0, V5_3_1};

alloc_switch::global_allocator!();

/// The sentence with which an option string is refused.
fn refusal(text: &str, linked: LinkedJemalloc) -> Option<String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let other = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !panic.to_string().contains("alloc-switch: in `conf`") {
                other(panic);
            }
        }));
    });
    let text = text.to_owned();
    let refused = catch_unwind(|| check(text.as_bytes(), linked)).err()?;
    Some(refused.downcast_ref::<String>().expect("a formatted sentence").clone())
}

#[track_caller]
fn assert_refused(text: &str, linked: LinkedJemalloc, words: &str) {
    let sentence = refusal(text, linked).unwrap_or_else(|| panic!("{text} is taken: {linked:?}"));
    assert!(sentence.contains(words), "{text}: {sentence}");
}

/// What a key takes.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Boolean,
    Integer,
    Text,
}

fn keys() -> impl Iterator<Item = (Kind, &'static str)> {
    let lists = [(Kind::Boolean, BOOLEAN), (Kind::Integer, INTEGER), (Kind::Text, TEXT)];
    lists.into_iter().flat_map(|(kind, names)| names.split_whitespace().map(move |n| (kind, n)))
}

fn needs_a_feature(key: &str) -> bool {
    let profiling = key.starts_with("prof") || key.starts_with("lg_prof_");
    profiling && cfg!(not(feature = "profiling"))
        || key == "lg_san_uaf_align" && cfg!(not(feature = "debug"))
}

#[test]
fn what_is_no_pair_is_refused_whatever_is_linked() {
    for linked in [V5_3_0, V5_3_1, Absent, Unknown] {
        for text in ["", "narenas", "narenas=4", ":4", ":", "a-b:1", "narenas:4,", ",narenas:4"] {
            assert_refused(text, linked, "is not `key:value`");
        }
        for text in ["narenas:4, tcache:true", " narenas:4", "nare nas:4"] {
            assert_refused(text, linked, "has a space in it");
        }
        assert_refused("narenas:4\0", linked, "is not `key:value`");
    }
    assert_refused(&"ü".repeat(100), V5_3_1, "\" is not `key:value`");
}

#[test]
fn an_unknown_jemalloc_takes_any_pair() {
    for text in ["dirty_decay_ms:soon", "purge:always", "prof:true", "narenas:4,narenas:many"] {
        assert_eq!(refusal(text, Unknown), None, "{text}");
    }
    assert_refused("purge:always", V5_3_1, "is no option of jemalloc's");
    assert_refused("dirty_decay:1000", Absent, "is no option of jemalloc's");
}

#[test]
fn a_value_of_another_kind_is_refused() {
    for (kind, key) in keys().filter(|(_, key)| !needs_a_feature(key)) {
        let takes = |value: &str| refusal(&format!("{key}:{value}"), Absent).is_none();
        let taken = ["true", "7", "-1", "default", "word", "1-2:3"].map(takes);
        let expected = match kind {
            Kind::Boolean => [true, false, false, false, false, false],
            Kind::Integer => [false, true, true, key == "narenas", false, false],
            Kind::Text => [true; 6],
        };
        assert_eq!(taken, expected, "{key}");
    }
}

#[test]
fn an_option_of_the_other_version_is_refused() {
    for key in SINCE_5_3_1.split_whitespace().filter(|key| !needs_a_feature(key)) {
        assert_refused(&format!("{key}:1"), V5_3_0, "came with jemalloc 5.3.1");
        assert!(!refusal(&format!("{key}:1"), V5_3_1).is_some_and(|s| s.contains("5.3.")), "{key}");
    }
    for key in UNTIL_5_3_0.split_whitespace() {
        assert_refused(&format!("{key}:1"), V5_3_1, "went with jemalloc 5.3.1");
        assert_eq!(refusal(&format!("{key}:1"), V5_3_0), None);
    }
}

#[test]
fn options_that_jemalloc_is_built_without_name_their_feature() {
    if cfg!(not(feature = "profiling")) {
        for text in ["prof:true", "lg_prof_sample:19", "prof_prefix:x"] {
            assert_refused(text, LINKED, "turn on the feature `profiling`");
        }
    }
    if cfg!(not(feature = "debug")) {
        assert_refused("lg_san_uaf_align:12", V5_3_1, "turn on the feature `debug`");
    }
}

#[test]
fn presets_are_taken_by_every_version() {
    for preset in [conf::GIVE_BACK, conf::PROFILING, conf::PROFILING_ARMED] {
        for linked in [V5_3_0, V5_3_1, Absent, Unknown] {
            assert_eq!(refusal(preset, linked), None, "{preset}");
        }
    }
}

/// The macro's work, on a kilobyte of options, in the compiler, which counts the steps.
#[test]
fn long_strings_are_joined_while_they_compile() {
    const MANY: &str = {
        const PAIR: [u8; 14] = *b"narenas:00004,";
        const TEXT: [u8; 70 * 14 - 1] = {
            let (mut text, mut i) = ([0; 70 * 14 - 1], 0);
            while i < text.len() {
                text[i] = PAIR[i % PAIR.len()];
                i += 1;
            }
            text
        };
        match std::str::from_utf8(&TEXT) {
            Ok(text) => text,
            Err(_) => panic!(),
        }
    };
    const PARTS: &[&str] = &[MANY, "tcache:true"];
    const JOINED: [u8; joined_len(PARTS)] = join(PARTS);
    assert_eq!(JOINED.strip_suffix(b"\0").unwrap(), [MANY, "tcache:true"].join(",").as_bytes());
    assert_eq!(joined_len(&[]), 1, "an empty C string has its end");
    assert_eq!(join::<1>(&[]), *b"\0");
}

/// The lists have every option that the linked jemalloc's own source compares a key with, and no
/// other.
#[test]
#[cfg(alloc_switch_jemalloc)]
fn the_lists_are_those_of_jemallocs_source() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    let out = cargo.args(["metadata", "--format-version", "1", "--locked"]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|p| p["name"] == "tikv-jemalloc-sys").unwrap();
    let (file, other) = match LINKED {
        V5_3_0 => ("jemalloc.c", SINCE_5_3_1),
        V5_3_1 => ("conf.c", UNTIL_5_3_0),
        _ => panic!("unset JEMALLOC_OVERRIDE"),
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
    // These need flags of configure that this crate never sets.
    for unset in ["xmalloc", "utrace", "log", "experimental_infallible_new"] {
        names.remove(unset);
    }
    let others: BTreeSet<_> = other.split_whitespace().collect();
    let ours: BTreeSet<_> = keys().map(|(_, key)| key).filter(|k| !others.contains(k)).collect();
    assert_eq!(ours, names);
}

/// What is refused for its kind jemalloc refuses too, and each key it knows.
#[test]
#[cfg(alloc_switch_jemalloc)]
fn jemalloc_refuses_what_is_refused() {
    let complains = |pair: &str| {
        let mut program = Command::new(std::env::current_exe().unwrap());
        // Whatever a pair turns on is off again before it can do anything.
        let options = format!("{pair},hpa:false,abort_conf:false,stats_print:false,narenas:1");
        let out = program.arg("--list").env(conf::ENVIRONMENT.unwrap(), options).output().unwrap();
        assert!(out.status.success(), "{pair}: {}", out.status);
        let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
        stderr.lines().any(|line| line.starts_with("<jemalloc>: ") && line.ends_with(pair))
    };
    assert!(complains("purge:always") && !complains("narenas:2"));
    let of_this_version = |key: &str| {
        !refusal(&format!("{key}:1"), LINKED).is_some_and(|sentence| sentence.contains("5.3.1"))
    };
    for (kind, key) in keys().filter(|(_, key)| !needs_a_feature(key) && of_this_version(key)) {
        let (right, wrong) = match kind {
            Kind::Boolean => ("false", "7"),
            Kind::Integer if key == "narenas" => ("default", "word"),
            Kind::Integer => ("7", "word"),
            Kind::Text => continue,
        };
        // A number may still be out of its range, which nobody claims to check.
        let right = format!("{key}:{right}");
        assert!(!complains(&right) || kind == Kind::Integer, "{right}");
        let wrong = format!("{key}:{wrong}");
        assert!(refusal(&wrong, LINKED).is_some() && complains(&wrong), "{wrong}");
    }
}
