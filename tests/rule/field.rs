//! The allocator blocks of programs in the field, `field.toml`, and the line that takes the place
//! of each: what both give, for every triple that rustc knows. A difference that [`why`] does not
//! explain fails this test. It prints the tables of `docs/field.md`, and fails where they differ:
//! `UPDATE=1 cargo test --test rule field` writes them anew.

use std::collections::BTreeSet;
use std::{env, fs};

use cargo_platform::{Cfg, Platform};
use serde::Deserialize;

use crate::rule::{decide, Allocator, Argument, Artifact, Caller, Reason};
use crate::triples::{triple, triples, Facts};

/// The columns: where most programs run.
const WELL_KNOWN: [(&str, &str); 14] = [
    ("x86_64 gnu", "x86_64-unknown-linux-gnu"),
    ("aarch64 gnu", "aarch64-unknown-linux-gnu"),
    ("armv7 gnu", "armv7-unknown-linux-gnueabihf"),
    ("riscv64 gnu", "riscv64gc-unknown-linux-gnu"),
    ("s390x gnu", "s390x-unknown-linux-gnu"),
    ("ppc64le gnu", "powerpc64le-unknown-linux-gnu"),
    ("x86_64 musl", "x86_64-unknown-linux-musl"),
    ("aarch64 musl", "aarch64-unknown-linux-musl"),
    ("armv7 musl", "armv7-unknown-linux-musleabihf"),
    ("macOS", "aarch64-apple-darwin"),
    ("Windows msvc", "x86_64-pc-windows-msvc"),
    ("Windows gnu", "x86_64-pc-windows-gnu"),
    ("FreeBSD", "x86_64-unknown-freebsd"),
    ("Android", "aarch64-linux-android"),
];

/// In place of an allocator: a static names a crate that is no dependency there, or there are two.
const DOES_NOT_COMPILE: &str = "×";

#[derive(Deserialize)]
struct Field {
    project: Vec<Project>,
}

/// As `field.toml` explains it.
#[derive(Deserialize)]
struct Project {
    name: String,
    source: String,
    ends_in: String,
    #[serde(default)]
    features: Vec<String>,
    theirs: Vec<Static>,
    ours: Line,
    keeps_mimalloc: Option<Line>,
    #[serde(default)]
    note: String,
}

#[derive(Deserialize)]
struct Static {
    allocator: String,
    cfg: Platform,
    #[serde(default)]
    depends_under: Vec<Platform>,
}

#[derive(Deserialize)]
struct Line {
    cfg: Option<Platform>,
    #[serde(default)]
    is_type: bool,
    argument: Option<String>,
    fallback: Option<String>,
    fallback_cfg: Option<Platform>,
}

impl Project {
    /// The allocator that their block gives on a target.
    fn theirs(&self, facts: &Facts) -> &str {
        let feature = |name: &String| Cfg::KeyPair("feature".into(), name.clone());
        let features: Vec<_> = self.features.iter().map(feature).collect();
        let holds = |cfg: &Platform| facts.matches(cfg, &features);
        let mut statics = self.theirs.iter().filter(|one| holds(&one.cfg));
        match (statics.next(), statics.next()) {
            (None, _) => "system",
            (Some(Static { allocator, depends_under, .. }), None)
                if depends_under.is_empty() || depends_under.iter().any(holds) =>
            {
                allocator
            }
            _ => DOES_NOT_COMPILE,
        }
    }

    /// The allocator that a line of ours gives on a target, and why.
    fn with(&self, line: &Line, facts: &Facts) -> (&'static str, Reason) {
        let holds = |cfg: &Option<Platform>| cfg.iter().all(|cfg| facts.matches(cfg, &[]));
        let argument = match line.argument.as_deref() {
            None => Argument::Default,
            Some("executable") => Argument::Executable,
            Some("jemalloc") => Argument::Jemalloc,
            Some(custom) if custom.starts_with("custom: ") => Argument::Custom,
            Some(other) => panic!("{}: the argument {other}", self.name),
        };
        let is_executable = self.ends_in == "program";
        let artifact = if is_executable { Artifact::Executable } else { Artifact::Library };
        let fallback = line.fallback.is_some() && holds(&line.fallback_cfg);
        let (allocator, reason) = decide(Caller { argument, artifact, fallback }, &facts.build());
        match allocator {
            Allocator::Jemalloc if holds(&line.cfg) => ("jemalloc", reason),
            Allocator::Fallback | Allocator::Custom if holds(&line.cfg) => ("mimalloc", reason),
            _ => ("system", reason),
        }
    }
}

impl Line {
    /// As it is written, in Markdown.
    fn text(&self) -> String {
        let attribute = |cfg: &Option<Platform>| match cfg {
            Some(cfg) => format!("#[{cfg}] "),
            None => String::new(),
        };
        let fallback = self.fallback.as_ref().map(|fallback| match self.is_type {
            true => "fallback: Fallback".to_owned(),
            false => format!("{}fallback: {fallback} = {fallback}", attribute(&self.fallback_cfg)),
        });
        let arguments: Vec<_> = self.argument.clone().into_iter().chain(fallback).collect();
        let (cfg, arguments) = (attribute(&self.cfg), arguments.join(", "));
        match (self.is_type, &self.fallback, &self.fallback_cfg) {
            (false, ..) => format!("`{cfg}alloc_switch::global_allocator!({arguments});`"),
            (true, Some(fallback), Some(cfg)) => format!(
                "`alloc_switch::switch!({arguments})`, where `Fallback` is `{fallback}` under \
                 `#[{cfg}]`, else `System`"
            ),
            (true, ..) => format!("`alloc_switch::switch!({arguments})`"),
        }
    }
}

/// The letter under which the page explains why ours is not as theirs.
fn why(facts: &Facts, theirs: &str, ours: &str, reason: Reason) -> Option<char> {
    let target = facts.target();
    Some(match (theirs, ours) {
        (DOES_NOT_COMPILE, _) => 'A',
        (_, "system") if reason == Reason::Sanitizer => 'B',
        ("jemalloc", _) if reason == Reason::UnlistedTarget => match target.lg_page(false) {
            Some(_) if target.os == "linux" => 'C',
            _ => 'D',
        },
        ("system", "jemalloc") if target.is_listed() => 'E',
        ("mimalloc", "jemalloc") if target.is_listed() => 'F',
        _ => return None,
    })
}

const PAGE: &str = include_str!("../../docs/field.md");
const BEGIN: &str = "<!-- Printed by cargo test --test rule field. -->\n";
const END: &str = "<!-- To here. -->\n";

#[test]
fn differences_from_the_blocks_of_the_field_are_explained() {
    let field: Field = basic_toml::from_str(include_str!("field.toml")).unwrap();
    let (mut lines, mut table) = (String::new(), String::new());
    let (mut letters, mut unexplained) = (BTreeSet::new(), Vec::new());
    let count = format!("{} projects", field.project.len());
    assert!(include_str!("../../README.md").contains(&count), "README does not say {count}");
    for project in &field.project {
        let mut compare = |facts: &Facts| {
            let (theirs, (ours, reason)) =
                (project.theirs(facts), project.with(&project.ours, facts));
            let first = |allocator: &str| allocator.chars().next().unwrap();
            if theirs == ours {
                return format!(" {} |", first(ours));
            }
            let Some(letter) = why(facts, theirs, ours, reason) else {
                let (name, triple) = (&project.name, &facts.triple);
                unexplained.push(format!("{name} on {triple}: {theirs} → {ours} ({reason:?})"));
                return String::new();
            };
            letters.insert(letter);
            format!(" {} → **{}** {letter} |", first(theirs), first(ours))
        };
        for facts in triples() {
            compare(facts);
        }
        let cells: String = WELL_KNOWN.iter().map(|(_, name)| compare(triple(name))).collect();

        let Project { name, source, ends_in, note, .. } = project;
        let mut line = project.ours.text();
        if let Some(keeps) = &project.keeps_mimalloc {
            for facts in triples() {
                let expected = match project.theirs(facts) {
                    "mimalloc" if !facts.target().has_sanitizer() => "mimalloc",
                    _ => "system",
                };
                let (ours, _) = project.with(keeps, facts);
                assert_eq!(ours, expected, "{name} keeps mimalloc on {}", facts.triple);
            }
            line = format!("{line}; with mimalloc wherever theirs has it: {}", keeps.text());
        }
        lines += &format!("| {name} | {ends_in} | {source} | {line} | {note} |\n");
        table += &format!("| {name} |{cells}\n");
    }
    assert!(unexplained.is_empty(), "without an explanation:\n{}", unexplained.join("\n"));
    assert!(letters.into_iter().eq('A'..='F'), "an explanation of nothing");

    let heads = WELL_KNOWN.map(|(head, _)| head).join(" | ");
    let dashes = "---|".repeat(WELL_KNOWN.len());
    let (before, rest) = PAGE.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let page = format!(
        "\
{before}{BEGIN}## One line for each

| project | ends in | the block | our line | |
|---|---|---|---|---|
{lines}
## What both give, where most programs run

| project | {heads} |
|---|{dashes}
{table}{END}{after}"
    );
    if env::var_os("UPDATE").is_some() {
        fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/field.md"), page).unwrap();
    } else {
        assert!(page == PAGE, "docs/field.md is not what this test prints: UPDATE=1 writes it");
    }
}
