//! The allocator blocks of programs in the field, `field.toml`, and the line that takes the place
//! of each: what both give, for every triple that rustc knows. `docs/field.md` is what this test
//! writes; a difference that none of [`EXPLANATIONS`] explains fails it.
//!
//! `UPDATE=1 cargo test --test rule field` writes the page anew.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::str::FromStr;
use std::{env, fs};

use cargo_platform::{Cfg, Platform};
use serde::Deserialize;

use crate::rule::{decide, Allocator, Argument, Artifact, Caller, Reason};
use crate::triples::{output, rustc, triple, triples, Facts};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The rows that most readers look for: the column's head and the triple.
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

/// What a program gets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Gets {
    Jemalloc,
    Mimalloc,
    System,
    /// It does not compile: a static names a crate that is no dependency there, or there are two.
    Error,
}

use Gets::{Error, Jemalloc, Mimalloc, System};

impl Gets {
    const ALL: [Gets; 4] = [Jemalloc, Mimalloc, System, Error];

    fn named(name: &str) -> Self {
        match name {
            "jemalloc" => Jemalloc,
            "system" => System,
            _ if name.contains("mimalloc") => Mimalloc,
            _ => panic!("an allocator without a letter: {name}"),
        }
    }

    fn letter(self) -> char {
        match self {
            Jemalloc => 'j',
            Mimalloc => 'm',
            System => 's',
            Error => '×',
        }
    }
}

#[derive(Deserialize)]
struct Field {
    project: Vec<Project>,
}

/// As `field.toml` explains it.
#[derive(Deserialize)]
struct Project {
    name: String,
    source: String,
    kind: String,
    #[serde(default)]
    features: Vec<String>,
    theirs: Vec<Vec<String>>,
    ours: String,
    fallback_is: Option<[String; 2]>,
    keeps_mimalloc: Option<String>,
    note: Option<String>,
}

/// One static of theirs.
struct Static<'a> {
    allocator: &'a str,
    predicate: Platform,
    dependency: Vec<Platform>,
}

fn platform(text: &str) -> Platform {
    Platform::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

impl Project {
    fn statics(&self) -> Vec<Static<'_>> {
        let statics = self.theirs.iter().map(|fields| Static {
            allocator: &fields[0],
            predicate: platform(&fields[1]),
            dependency: fields[2..].iter().map(|text| platform(text)).collect(),
        });
        statics.collect()
    }

    fn line(&self, text: &str) -> Line {
        Line::parse(text, self.kind == "executable", self.fallback_is.as_ref())
    }
}

/// What their block gives on a target.
fn theirs(statics: &[Static], features: &[Cfg], facts: &Facts) -> Gets {
    let mut holding = statics.iter().filter(|s| facts.matches(&s.predicate, features));
    match (holding.next(), holding.next()) {
        (None, _) => System,
        (Some(one), None)
            if one.dependency.is_empty()
                || one.dependency.iter().any(|d| facts.matches(d, features)) =>
        {
            Gets::named(one.allocator)
        }
        _ => Error,
    }
}

/// Our line, as far as the rule is told of it.
struct Line {
    /// The `#[cfg(…)]` in front of it.
    under: Platform,
    argument: Argument,
    artifact: Artifact,
    /// Of `custom: TYPE` or `fallback: TYPE`, and the `#[cfg(…)]` in front of the latter.
    named: Option<(Gets, Platform)>,
}

/// `#[cfg(…)]` at the beginning, if there is one, and the rest.
fn split_cfg(text: &str) -> (Platform, &str) {
    match text.strip_prefix("#[").and_then(|rest| rest.split_once(")] ")) {
        Some((cfg, rest)) => (platform(&format!("{cfg})")), rest),
        None => (platform("cfg(all())"), text),
    }
}

impl Line {
    /// `#[cfg(…)] MACRO!(WHO, #[cfg(…)] fallback: TYPE = EXPR)`, of which every part may be
    /// missing. `fallback_is` is what the type `Fallback` stands for, and under which cfg.
    fn parse(text: &str, executable: bool, fallback_is: Option<&[String; 2]>) -> Self {
        let (under, text) = split_cfg(text);
        let (_, text) = text.split_once("!(").expect("a call of a macro");
        let text = text.trim_end_matches(';').strip_suffix(')').expect("it ends");
        let (who, option) = match text.find("#[cfg(").or_else(|| text.find("fallback:")) {
            Some(at) => (text[..at].trim_end_matches([',', ' ']), &text[at..]),
            None => (text, ""),
        };
        let own = if executable { Artifact::Executable } else { Artifact::Library };
        let argument = match who.split_once(": ").map_or(who, |(word, _)| word) {
            "" if executable => Argument::Default,
            "executable" if executable => Argument::Executable,
            "jemalloc" if !executable => Argument::Jemalloc,
            "custom" => Argument::Custom,
            other => panic!("`{other}` where executable is {executable}: not a line of field.toml"),
        };
        let (predicate, option) = split_cfg(option);
        let named = match (who.strip_prefix("custom: "), option.strip_prefix("fallback: ")) {
            (Some(custom), _) => Some((Gets::named(custom), predicate)),
            (_, Some("Fallback")) => {
                let [allocator, predicate] = fallback_is.expect("it says what `Fallback` is");
                Some((Gets::named(allocator), platform(predicate)))
            }
            (_, Some(fallback)) => Some((Gets::named(fallback), predicate)),
            (None, None) => None,
        };
        Line { under, argument, artifact: own, named }
    }
}

/// What our line gives on a target, and why; the only place that asks the rule.
fn ours(line: &Line, facts: &Facts) -> (Gets, Reason) {
    let named = line.named.as_ref().filter(|(_, predicate)| facts.matches(predicate, &[]));
    let Line { argument, artifact, .. } = *line;
    let caller = Caller { argument, artifact, fallback: named.is_some() };
    let (allocator, reason) = decide(caller, &facts.build());
    let gets = match allocator {
        _ if !facts.matches(&line.under, &[]) => System,
        Allocator::Jemalloc => Jemalloc,
        Allocator::System => System,
        Allocator::Fallback | Allocator::Custom => named.expect("it is named").0,
    };
    (gets, reason)
}

/// A difference between theirs and ours on one target.
struct Difference<'a> {
    facts: &'a Facts,
    theirs: Gets,
    ours: Gets,
    reason: Reason,
}

impl Difference<'_> {
    /// They have jemalloc where it is not on the list.
    fn unlisted(&self) -> bool {
        self.theirs == Jemalloc && self.ours != Jemalloc && self.reason == Reason::UnlistedTarget
    }

    fn os(&self) -> &str {
        self.facts.get("target_os")
    }

    fn arch(&self) -> &str {
        self.facts.get("target_arch")
    }

    fn family(&self, name: &str) -> bool {
        self.facts.cfg.contains(&Cfg::KeyPair("target_family".into(), name.into()))
    }
}

/// The processors for which tikv-jemallocator 0.7 has an ALIGNOF_MAX_ALIGN_T, without which it does
/// not compile.
const KNOWN: [&str; 13] = [
    "arm",
    "mips",
    "powerpc",
    "x86",
    "x86_64",
    "aarch64",
    "powerpc64",
    "loongarch64",
    "mips64",
    "riscv32",
    "riscv64",
    "s390x",
    "sparc64",
];

struct Explanation {
    letter: char,
    text: &'static str,
    holds: fn(&Difference) -> bool,
}

/// Every difference that there may be, the first that holds.
const EXPLANATIONS: [Explanation; 8] = [
    Explanation {
        letter: 'A',
        text: "Theirs does not compile there: the static names a crate that their `Cargo.toml` \
               does not depend on for this target.",
        holds: |d| d.theirs == Error,
    },
    Explanation {
        letter: 'B',
        text: "Ours is the system allocator because the triple turns a sanitizer on, which has to \
               see every allocation.",
        holds: |d| d.reason == Reason::Sanitizer && d.ours == System,
    },
    Explanation {
        letter: 'C',
        text: "Theirs does not build there: jemalloc needs a Unix C library, its configure \
               script rejects the target or cannot run, what it builds does not link, or \
               tikv-jemallocator does not know the processor.",
        holds: |d| {
            let unix = d.family("unix") && !d.family("wasm");
            let fails = matches!(d.os(), "windows" | "android" | "illumos");
            d.unlisted() && (!unix || fails || !KNOWN.contains(&d.arch()))
        },
    },
    Explanation {
        letter: 'D',
        text: "Theirs does not link as a static program there: `__ffsdi2` is in libgcc alone.",
        holds: |d| {
            let musl = d.facts.get("target_env") == "musl" && d.os() == "linux";
            d.unlisted() && musl && matches!(d.arch(), "x86" | "arm" | "riscv64")
        },
    },
    Explanation {
        letter: 'E',
        text: "Theirs is unsafe there: jemalloc is built for the page size of the machine that \
               builds it, or for 4 KiB, and aborts where the kernel's pages are larger.",
        holds: |d| d.unlisted() && d.os() == "linux" && d.facts.target().lg_page(false).is_some(),
    },
    Explanation {
        letter: 'F',
        text: "Ours is off the list because we have not run jemalloc there, or because the C \
               library's own malloc is jemalloc; theirs may well work. \
               `--cfg alloc_switch=\"jemalloc\"` turns it on.",
        holds: |d| d.unlisted(),
    },
    Explanation {
        letter: 'G',
        text: "Theirs leaves the system allocator, by choice or for want of a test; ours gives \
               jemalloc, because the target is on the list. `#[cfg(…)]` before our line, or \
               `--cfg alloc_switch=\"system\"`, keeps theirs.",
        holds: |d| d.theirs == System && d.ours == Jemalloc && d.facts.target().is_listed(),
    },
    Explanation {
        letter: 'H',
        text: "Theirs is mimalloc, by choice. Ours prefers jemalloc where it is on the list, and \
               has mimalloc as the fallback elsewhere; the line with `custom` keeps theirs.",
        holds: |d| d.theirs == Mimalloc && d.ours == Jemalloc && d.facts.target().is_listed(),
    },
];

/// The group in which a triple stands under a reason.
fn group(facts: &Facts) -> String {
    match (facts.get("target_os"), facts.get("target_env")) {
        ("none", _) => "bare metal".to_owned(),
        (os, "") => os.to_owned(),
        (os, env) => format!("{os} {env}"),
    }
}

/// Breaks lines at 100 columns, those after the first with an indentation.
fn wrapped(text: &str, indentation: &str) -> String {
    let (mut lines, mut line) = (String::new(), String::new());
    for word in text.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > 100 {
            lines.push_str(&line);
            lines.push('\n');
            line = format!("{indentation}{word}");
        } else {
            line = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        }
    }
    format!("{lines}{line}\n")
}

const BEGIN: &str = "<!-- Printed by ci/adoption. -->\n";
const END: &str = "<!-- To here. -->\n";

#[test]
fn the_page_is_what_the_predicates_give() {
    let path = format!("{ROOT}/docs/field.md");
    let before = fs::read_to_string(&path).unwrap_or_default();
    let built = match before.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)) {
        Some((built, _)) => built,
        None => "",
    };
    let page = page(built);
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let page_is_there = fs::read_to_string(&path).unwrap_or_default() == page;
    assert!(page_is_there, "docs/field.md is not what this test writes: UPDATE=1 writes it anew");
}

fn page(built: &str) -> String {
    let field = fs::read_to_string(format!("{ROOT}/tests/rule/field.toml")).unwrap();
    let field: Field = basic_toml::from_str(&field).unwrap();
    let (mut lines, mut known, mut counts) = (String::new(), String::new(), String::new());
    // letter → group → triples
    let mut explained: BTreeMap<char, BTreeMap<String, Vec<&str>>> = BTreeMap::new();
    let mut unexplained = Vec::new();

    for project in &field.project {
        let (statics, line) = (project.statics(), project.line(&project.ours));
        let feature = |name: &String| Cfg::KeyPair("feature".into(), name.clone());
        let features: Vec<_> = project.features.iter().map(feature).collect();
        let both = |facts: &Facts| (theirs(&statics, &features, facts), ours(&line, facts));

        let (mut their_counts, mut our_counts) = ([0; 4], [0; 4]);
        let (mut same, mut why) = (0, BTreeMap::new());
        for facts in triples() {
            let (theirs, (ours, reason)) = both(facts);
            their_counts[theirs as usize] += 1;
            our_counts[ours as usize] += 1;
            if theirs == ours {
                same += 1;
                continue;
            }
            let difference = Difference { facts, theirs, ours, reason };
            let explanation = EXPLANATIONS.iter().find(|e| (e.holds)(&difference));
            match explanation {
                Some(explanation) => {
                    *why.entry(explanation.letter).or_insert(0) += 1;
                    let groups = explained.entry(explanation.letter).or_default();
                    let triples = groups.entry(group(facts)).or_default();
                    if !triples.contains(&facts.triple.as_str()) {
                        triples.push(&facts.triple);
                    }
                }
                None => unexplained.push(format!(
                    "{} on {}: theirs {theirs:?}, ours {ours:?} ({reason:?})",
                    project.name, facts.triple
                )),
            }
        }

        let name = &project.name;
        let kind = match project.kind.as_str() {
            "executable" => "program",
            "python" => "Python extension",
            "node" => "Node extension",
            other => panic!("{other}: an unknown kind"),
        };
        let line_cell = match &project.keeps_mimalloc {
            Some(keeps) => {
                let line = project.line(keeps);
                for facts in triples() {
                    let (theirs, ours) = (theirs(&statics, &features, facts), ours(&line, facts).0);
                    let expected = match theirs {
                        Mimalloc if facts.target().has_sanitizer() => System,
                        Mimalloc => Mimalloc,
                        _ => System,
                    };
                    assert_eq!(ours, expected, "{name} with `{keeps}` on {}", facts.triple);
                }
                format!("`{}`; with mimalloc wherever theirs has it: `{keeps}`", project.ours)
            }
            None => format!("`{}`", project.ours),
        };
        let fallback = project.fallback_is.as_ref().map(|[allocator, predicate]| {
            format!("`Fallback` is `{allocator}` under `#[{predicate}]`, else `System`")
        });
        let notes: Vec<_> = project.note.iter().chain(&fallback).map(String::as_str).collect();
        let (source, note) = (&project.source, notes.join("; "));
        writeln!(lines, "| {name} | {kind} | {source} | {line_cell} | {note} |").unwrap();

        write!(known, "| {name} |").unwrap();
        for (_, well_known) in WELL_KNOWN {
            let (theirs, (ours, _)) = both(triple(well_known));
            match theirs == ours {
                true => write!(known, " {} |", ours.letter()).unwrap(),
                false => write!(known, " {} → **{}** |", theirs.letter(), ours.letter()).unwrap(),
            }
        }
        known.push('\n');

        write!(counts, "| {name} |").unwrap();
        for gets in Gets::ALL {
            write!(counts, " {} |", their_counts[gets as usize]).unwrap();
        }
        for gets in [Jemalloc, Mimalloc, System] {
            write!(counts, " {} |", our_counts[gets as usize]).unwrap();
        }
        let why: Vec<_> = why.iter().map(|(letter, count)| format!("{count} {letter}")).collect();
        writeln!(counts, " {same} | {} |", why.join(", ")).unwrap();
    }
    assert!(unexplained.is_empty(), "without an explanation:\n{}", unexplained.join("\n"));

    let mut reasons = String::new();
    for explanation in &EXPLANATIONS {
        let Some(groups) = explained.get(&explanation.letter) else {
            panic!("{}: an explanation of nothing", explanation.letter)
        };
        let text = format!("**{}.** {}", explanation.letter, explanation.text);
        reasons.push_str(&wrapped(&text, ""));
        reasons.push('\n');
        let groups = groups.iter().map(|(group, triples)| match triples[..] {
            [one] => format!("{group} ({one})"),
            [first, ..] => format!("{group} ({first} and {} more)", triples.len() - 1),
            [] => unreachable!(),
        });
        reasons.push_str(&wrapped(&groups.collect::<Vec<_>>().join(", "), ""));
        reasons.push('\n');
    }

    let version = output(rustc().arg("-V"));
    let version: Vec<_> = version.split(' ').take(2).collect();
    let heads: Vec<_> = WELL_KNOWN.iter().map(|(head, _)| *head).collect();
    format!(
        "\
# The field: allocator blocks that become one line

{projects} projects that choose their allocator by hand, under a `cfg` of their own.
`tests/rule/field.toml` has their predicates. `tests/rule/field.rs` evaluates them with Cargo's own
crate `cargo-platform`, and our rule for the line beside them, for each of the {triples} triples that
{version} knows, bare-metal ones included. `UPDATE=1 cargo test --test rule field` writes this
page; without, it fails where the two differ without one of the reasons below.

**j** is jemalloc, **m** mimalloc, **s** the system allocator; **×** does not compile. A row is for
the program as it is released: with its features, without a sanitizer, Miri or fuzzing. Ours gives
the system allocator under each of these; theirs seldom does.

## One line for each

Where they prefer mimalloc, a line with `custom` gives it on the same targets, and the system
allocator under the vetoes that theirs does not have. A line with `switch!` is a type, for the
wrapper that the project has around its allocator.

| project | ends in | the block | our line | |
|---|---|---|---|---|
{lines}
## What both give, where most programs run

A letter alone: both give it. Two: theirs → **ours**.

| project | {heads} |
|---|{dashes}
{known}
## What both give, over all triples

| project | theirs: j | m | s | × | ours: j | m | s | the same | different, for the reason |
|---|--:|--:|--:|--:|--:|--:|--:|--:|---|
{counts}
## Why they differ

Under each reason are the systems in which its triples stand. `src/rule.rs` says of each group why
it is on the list or off; what was run is in [targets.md](targets.md).

{reasons}## Built with our line

{BEGIN}{built}{END}",
        projects = field.project.len(),
        triples = triples().len(),
        version = version.join(" "),
        heads = heads.join(" | "),
        dashes = "---|".repeat(heads.len()),
    )
}
