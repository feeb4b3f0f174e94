//! The allow-list stands in `Cargo.toml`, for Cargo, and in `src/rule.rs`, for the rule. For every
//! target that rustc knows and every cfg that counts, what Cargo would build is what the rule says.

use std::process::Command;
use std::str::FromStr;

use cargo_platform::{Cfg, Platform};
use serde_json::Value;

use crate::rule::{Argument, BuildFacts};
use crate::triples::{output, triple, triples, Facts};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The triples of rustc's list that are on ours. A compiler of a distribution has more.
const LISTED: [&str; 14] = [
    "aarch64-apple-darwin",
    "aarch64-unknown-linux-gnu",
    "aarch64-unknown-linux-musl",
    "arm64e-apple-darwin",
    "i586-unknown-linux-gnu",
    "i686-unknown-linux-gnu",
    "riscv64a23-unknown-linux-gnu",
    "riscv64gc-unknown-linux-gnu",
    "s390x-unknown-linux-gnu",
    "s390x-unknown-linux-musl",
    "x86_64-apple-darwin",
    "x86_64-unknown-linux-gnu",
    "x86_64-unknown-linux-musl",
    "x86_64h-apple-darwin",
];

/// Vendors that rustc's own list does not have under Linux, and the two that are off.
const VENDORS: [&str; 7] = ["alpine", "chimera", "none", "pc", "suse", "openwrt", "unikraft"];

/// A build that is not the default one.
#[derive(Clone, Copy)]
struct Variant {
    default_features: bool,
    /// As in `--cfg`.
    cfg: Option<&'static str>,
    /// How it changes the facts.
    change: fn(BuildFacts) -> BuildFacts,
}

const DEFAULT: Variant = Variant { default_features: true, cfg: None, change: |b| b };

const VARIANTS: [Variant; 8] = [
    DEFAULT,
    Variant {
        default_features: false,
        change: |b| BuildFacts { feature_jemalloc: false, ..b },
        ..DEFAULT
    },
    Variant {
        cfg: Some(r#"alloc_switch="system""#),
        change: |b| BuildFacts { cfg_system: true, ..b },
        ..DEFAULT
    },
    Variant {
        cfg: Some(r#"alloc_switch="jemalloc""#),
        change: |b| BuildFacts { cfg_jemalloc: true, target_allowed: true, ..b },
        ..DEFAULT
    },
    Variant { cfg: Some("miri"), change: |b| BuildFacts { miri: true, ..b }, ..DEFAULT },
    Variant { cfg: Some("kani"), change: |b| BuildFacts { kani: true, ..b }, ..DEFAULT },
    Variant { cfg: Some("fuzzing"), change: |b| BuildFacts { fuzzing: true, ..b }, ..DEFAULT },
    // refused by the build script, before jemalloc is compiled
    Variant {
        cfg: Some("alloc_switch"),
        change: |b| BuildFacts { cfg_system: true, ..b },
        ..DEFAULT
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
    let rustflags = variant.cfg.map_or(String::new(), |cfg| format!("--cfg {cfg}"));
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["tree", "--locked", "--edges", "normal", "--prefix", "none"])
        .args(["--package", "alloc-switch", "--target", triple])
        .current_dir(ROOT)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", rustflags);
    if !variant.default_features {
        cargo.arg("--no-default-features");
    }
    let tree = output(&mut cargo);
    assert!(tree.starts_with("alloc-switch v"), "{tree}");
    tree.lines().any(|line| line.starts_with("tikv-jemalloc-sys v"))
}

/// What stands between these tests and the truth: the evaluation here is Cargo's own.
#[test]
fn a_predicate_is_evaluated_as_cargo_does() {
    let predicate = predicate();
    for name in [
        "x86_64-unknown-linux-gnu",
        "i686-unknown-linux-musl",
        "aarch64-unknown-linux-gnu_ilp32",
        "aarch64-apple-darwin",
        "x86_64-pc-windows-msvc",
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
    let mut compare = |facts: &Facts| {
        for variant in &VARIANTS {
            let mut build = (variant.change)(facts.build());
            // The one thing that the rule sees and Cargo does not: it compiles jemalloc, and
            // nothing uses it.
            build.sanitizer = false;
            let rule = build.veto(Argument::Default).is_none();
            let cargo = evaluated(&predicate, facts, variant);
            if rule != cargo {
                let (vendor, cfg) = (facts.get("target_vendor"), variant.cfg);
                wrong.push(format!(
                    "{} by {vendor}, {:?} {cfg:?}: the rule says {rule}, Cargo {cargo}",
                    facts.triple, variant.default_features
                ));
            }
        }
    };
    for facts in triples() {
        compare(facts);
        VENDORS.iter().for_each(|vendor| compare(&facts.by_vendor(vendor)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_listed_triples_are_those_that_are_documented() {
    let listed = triples().iter().filter(|facts| facts.build().veto(Argument::Default).is_none());
    let mut listed: Vec<_> = listed.map(|facts| facts.triple.as_str()).collect();
    listed.sort_unstable();
    assert_eq!(listed, LISTED);
}

/// A distribution's own compiler says another vendor. Only two vendors have kernels of their own.
#[test]
fn every_vendor_but_openwrt_and_unikraft_is_listed() {
    for name in LISTED.iter().filter(|name| name.contains("-linux-")) {
        for vendor in VENDORS {
            let listed = triple(name).by_vendor(vendor).target().is_listed();
            assert_eq!(listed, !matches!(vendor, "openwrt" | "unikraft"), "{name} by {vendor}");
        }
    }
}

/// Stable rustc shows such a sanitizer in no cfg, so that the build script has to know the triples.
#[test]
fn the_sanitizer_of_a_triple_is_seen() {
    let with = |name: &str| triple(name).target().has_sanitizer();
    assert!(with("x86_64-unknown-linux-gnuasan") && !with("x86_64-unknown-linux-gnu"));
    assert!(triple("x86_64-unknown-linux-gnuasan").get("sanitize").is_empty());
    let target = triple("aarch64-unknown-linux-gnu").target();
    for (suffix, has_sanitizer) in
        [("asan", true), ("hwasan", true), ("msan", true), ("tsan", true), ("eabi", false)]
    {
        let triple = format!("aarch64-unknown-linux-gnu{suffix}");
        let target = crate::rule::Target { triple: &triple, ..target };
        assert_eq!(target.has_sanitizer(), has_sanitizer, "{triple}");
    }
}
