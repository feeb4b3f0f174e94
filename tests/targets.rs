//! The allow-list stands in `Cargo.toml`, for Cargo, and in `src/rule.rs`, for the rule. For every
//! target that rustc knows and every cfg that counts, what Cargo would build is what the rule says,
//! and by default both are what `targets.tsv` says to a reader.

#[path = "support/triples.rs"]
mod triples;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::str::FromStr;

use alloc_switch::rule::{decide, Allocator, Argument, Artifact, Build, Caller, Reason};
use cargo_platform::{Cfg, Platform};
use serde_json::Value;
use triples::{output, rustc, triple, triples, Facts};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A build that is not the default one.
#[derive(Clone, Copy)]
struct Variant {
    default_features: bool,
    /// As in `--cfg`.
    cfg: Option<&'static str>,
    /// How it changes the facts.
    change: fn(Build<'_>) -> Build<'_>,
}

const VARIANTS: [Variant; 8] = [
    Variant { default_features: true, cfg: None, change: |b| b },
    Variant {
        default_features: false,
        cfg: None,
        change: |b| Build { feature_jemalloc: false, ..b },
    },
    Variant {
        default_features: true,
        cfg: Some(r#"alloc_switch="system""#),
        change: |b| Build { cfg_system: true, ..b },
    },
    Variant {
        default_features: true,
        cfg: Some(r#"alloc_switch="jemalloc""#),
        change: |b| Build { cfg_jemalloc: true, ..b },
    },
    Variant { default_features: true, cfg: Some("miri"), change: |b| Build { miri: true, ..b } },
    Variant { default_features: true, cfg: Some("kani"), change: |b| Build { kani: true, ..b } },
    Variant {
        default_features: true,
        cfg: Some("fuzzing"),
        change: |b| Build { fuzzing: true, ..b },
    },
    Variant {
        default_features: true,
        cfg: Some(r#"sanitize="address""#),
        change: |b| Build { sanitizer: true, ..b },
    },
];

/// The predicate under which `Cargo.toml` depends on jemalloc, as Cargo reads it.
fn predicate() -> Platform {
    let metadata = output(Command::new(env!("CARGO")).current_dir(ROOT).args([
        "metadata",
        "--locked",
        "--no-deps",
        "--format-version=1",
    ]));
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|p| p["name"] == "alloc-switch").unwrap();
    let mut predicates = Vec::new();
    for dependency in package["dependencies"].as_array().unwrap() {
        if dependency["name"].as_str().unwrap().starts_with("tikv-jemalloc")
            && dependency["kind"].is_null()
        {
            assert_eq!(dependency["optional"], true, "{dependency}");
            predicates.push(dependency["target"].as_str().expect("under a predicate"));
        }
    }
    assert!(predicates.len() >= 2, "the allocator and its C code");
    assert!(predicates.iter().all(|p| *p == predicates[0]), "{predicates:#?}");
    Platform::from_str(predicates[0]).unwrap()
}

/// Whether Cargo would build jemalloc, by evaluating its predicate here.
fn evaluated(predicate: &Platform, facts: &Facts, variant: &Variant) -> bool {
    let more: Vec<Cfg> = variant.cfg.iter().map(|cfg| Cfg::from_str(cfg).unwrap()).collect();
    variant.default_features && facts.matches(predicate, &more)
}

/// Whether Cargo would build jemalloc, by asking it.
fn asked(triple: &str, variant: &Variant) -> bool {
    let cfg = variant.cfg.unwrap_or("");
    let sanitizer = cfg.starts_with("sanitize");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["tree", "--locked", "--edges", "normal", "--prefix", "none"])
        .args(["--package", "alloc-switch", "--target", triple])
        .current_dir(ROOT)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        // stable rustc shows cfg(sanitize) to nobody
        .env("RUSTC_BOOTSTRAP", if sanitizer { "1" } else { "0" })
        .env(
            "RUSTFLAGS",
            match cfg {
                "" => String::new(),
                _ if sanitizer => format!("-A explicit_builtin_cfgs_in_flags --cfg {cfg}"),
                _ => format!("--cfg {cfg}"),
            },
        );
    if !variant.default_features {
        cargo.arg("--no-default-features");
    }
    let tree = output(&mut cargo);
    assert!(tree.starts_with("alloc-switch v"), "{tree}");
    tree.lines().any(|line| line.starts_with("tikv-jemalloc-sys v"))
}

/// What stands between this test and the truth: the evaluation here is Cargo's own.
#[test]
fn cargo_evaluates_the_predicate_as_this_test_does() {
    let predicate = predicate();
    for name in [
        "x86_64-unknown-linux-gnu",
        "s390x-unknown-linux-musl",
        "i686-unknown-linux-musl",
        "aarch64-unknown-linux-gnu_ilp32",
        "powerpc64le-unknown-linux-gnu",
        "aarch64-apple-darwin",
        "x86_64-pc-windows-msvc",
        "thumbv7em-none-eabi",
    ] {
        for variant in &VARIANTS {
            let (here, cargo) =
                (evaluated(&predicate, triple(name), variant), asked(name, variant));
            assert_eq!(here, cargo, "{name} {:?} {:?}", variant.default_features, variant.cfg);
        }
    }
}

#[test]
fn cargo_builds_jemalloc_where_the_rule_wants_it() {
    let (predicate, mut wrong) = (predicate(), Vec::new());
    for facts in triples() {
        for variant in &VARIANTS {
            let mut build = (variant.change)(facts.build());
            // The one thing that the rule sees and Cargo does not.
            if build.target.has_sanitizer() {
                assert!(build.veto().is_some(), "{}", facts.triple);
                build.target.triple = "";
            }
            let (rule, cargo) = (build.veto().is_none(), evaluated(&predicate, facts, variant));
            if rule != cargo {
                wrong.push(format!(
                    "{} {:?} {:?}: the rule says {rule}, Cargo {cargo}",
                    facts.triple, variant.default_features, variant.cfg
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_default_is_what_the_table_says() {
    let table = fs::read_to_string(format!("{ROOT}/tests/targets.tsv")).unwrap();
    let mut rows = BTreeMap::new();
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (triple, row) = line.split_once('\t').expect("triple, tab, allocator, tab, reason");
        assert!(rows.insert(triple, row).is_none(), "{triple} stands twice in targets.tsv");
    }
    let mut wrong = Vec::new();
    for facts in triples() {
        let triple = facts.triple.as_str();
        let caller = Caller { argument: Argument::Nothing, artifact: Artifact::Executable };
        let reason = decide(caller, facts.build().veto(), false);
        let jemalloc = reason.allocator() == Allocator::Jemalloc;
        let allocator = if jemalloc { "jemalloc" } else { "system" };
        let rule = format!("{allocator}\t{}", reason.as_str());
        let row = rows.get(triple).copied().unwrap_or("missing");
        if row != rule {
            wrong.push(format!("{triple}: targets.tsv says {row}, the rule {rule}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(
        rows.len(),
        triples().len(),
        "targets.tsv has rows for targets that rustc does not know"
    );
}

/// `Cargo.toml` has to list the sanitizers one by one.
#[test]
fn every_sanitizer_takes_jemalloc_out() {
    let help = Command::new(rustc())
        .args(["-Zsanitizer=help", "-"])
        .env("RUSTC_BOOTSTRAP", "1")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stderr).unwrap();
    let (_, names) =
        help.split_once("comma separated list of sanitizers:").expect("rustc names its sanitizers");
    let names: Vec<&str> = names
        .split(['`', '\''])
        .filter(|n| n.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect();
    assert!(
        names.contains(&"address") && names.contains(&"thread") && names.len() > 10,
        "{names:?}"
    );
    let (predicate, gnu) = (predicate(), triple("x86_64-unknown-linux-gnu"));
    assert!(gnu.matches(&predicate, &[]));
    for name in names {
        let cfg = Cfg::KeyPair("sanitize".into(), name.into());
        assert!(!gnu.matches(&predicate, &[cfg]), "{name}");
    }
}

#[test]
fn the_sanitizer_of_a_triple_is_seen() {
    let facts = triple("x86_64-unknown-linux-gnuasan");
    assert_eq!(facts.build().veto(), Some(Reason::Sanitizer));
    assert!(
        facts.get("sanitize").is_empty(),
        "stable rustc shows cfg(sanitize) now: Cargo.toml alone would do"
    );
}
