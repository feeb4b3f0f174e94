//! The allow-list stands in `Cargo.toml`, for Cargo, and in `src/rule.rs`, for the rule. For every
//! target that rustc knows and every cfg that counts, what Cargo would build is what the rule says.

use std::str::FromStr;

use cargo_platform::{Cfg, Platform};
use serde_json::Value;

use crate::rule::{Argument, BuildFacts, Target};
use crate::triples::{triple, triples, Facts};

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

type Change = fn(&mut BuildFacts);

/// Each cfg that counts, and one that does not, with the veto that it sets or lifts.
const CFGS: [(&str, Change); 7] = [
    ("debug_assertions", |_| {}),
    (r#"alloc_switch="system""#, |build| build.cfg_system = true),
    (r#"alloc_switch="jemalloc""#, |build| build.target_allowed = true),
    ("miri", |build| build.miri = true),
    ("kani", |build| build.kani = true),
    ("fuzzing", |build| build.fuzzing = true),
    // refused by the build script, before jemalloc is compiled
    ("alloc_switch", |build| build.cfg_system = true),
];

/// The predicate under which `Cargo.toml` depends on jemalloc.
fn predicate() -> Platform {
    let manifest: Value = basic_toml::from_str(include_str!("../../Cargo.toml")).unwrap();
    let names_jemalloc = |table: &Value| table.to_string().contains("tikv-jemalloc");
    assert!(!names_jemalloc(&manifest["dependencies"]), "under no predicate");
    let targets = manifest["target"].as_object().unwrap();
    let mut targets = targets.iter().filter(|(_, table)| names_jemalloc(table));
    let (predicate, table) = targets.next().unwrap();
    for name in ["tikv-jemallocator", "tikv-jemalloc-sys"] {
        assert_eq!(table["dependencies"][name]["optional"], true, "{name}");
    }
    assert!(targets.next().is_none(), "under one predicate");
    Platform::from_str(predicate).unwrap()
}

#[test]
fn cargo_builds_jemalloc_where_the_rule_wants_it() {
    let (predicate, mut wrong) = (predicate(), Vec::new());
    let mut compare = |facts: &Facts| {
        for (cfg, change) in CFGS {
            // The one thing that the rule sees and Cargo does not is a triple's sanitizer: jemalloc
            // is compiled, and nothing uses it.
            let mut build = BuildFacts { sanitizer: false, ..facts.build() };
            change(&mut build);
            let rule = build.veto(Argument::Default).is_none();
            let cargo = facts.matches(&predicate, &[Cfg::from_str(cfg).unwrap()]);
            if rule != cargo {
                let (triple, vendor) = (&facts.triple, facts.get("target_vendor"));
                wrong.push(format!("{triple} by {vendor}, {cfg}: rule {rule}, Cargo {cargo}"));
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
    let target = triple("aarch64-unknown-linux-gnu").target();
    for (suffix, expected) in
        [("", false), ("asan", true), ("hwasan", true), ("msan", true), ("tsan", true)]
    {
        let triple = format!("aarch64-unknown-linux-gnu{suffix}");
        assert_eq!(Target { triple: &triple, ..target }.has_sanitizer(), expected, "{triple}");
    }
}
