//! What cannot work is refused while it compiles, once, in one sentence. Each file beside this one
//! is such a crate, which rustc compiles as Cargo would have it. Its first line is the sentence, or
//! the code of an error of rustc's and a part of its words; the second line says what the crate is,
//! where it is not a program:
//!
//! * `cdylib` or `proc-macro`, or a program `without Cargo`;
//! * `with jemalloc`: refused where jemalloc may be had, so that a build without it compiles.
//!   Without these words it is refused in any build;
//! * `with override-malloc`: under that feature alone.

/// The folder of the workspace.
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::Value;
use support::{bare, fixture};

/// alloc-switch as Cargo builds it, with the jemalloc that is built already, or with none. What it
/// names is beside it.
fn library(features: &[&str]) -> PathBuf {
    let check = fixture("alloc-switch").command("check").args(["--lib"]);
    check.args(features.iter().copied()).artifact("alloc_switch")
}

/// With a feature that takes another jemalloc. Nothing is linked, so that any file is one.
fn library_with(feature: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("refused");
    let jemalloc = folder.join("libjemalloc.a");
    fs::create_dir_all(&folder).unwrap();
    fs::write(&jemalloc, "").unwrap();
    let check = fixture("alloc-switch").command("check").args(["--lib"]).features(feature);
    check
        .env("CARGO_TARGET_DIR", folder.to_str().unwrap())
        .env("JEMALLOC_OVERRIDE", jemalloc.to_str().unwrap())
        .artifact("alloc_switch")
}

/// A file of this folder, and what its first two lines say.
struct Case {
    name: String,
    path: PathBuf,
    sentence: String,
    header: String,
}

/// Those with such a header, of which there are this many or more.
fn cases(least: usize, has: fn(&str) -> bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(Path::new(ROOT).join("tests/refused")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let source = fs::read_to_string(&path).unwrap();
        let mut lines = source.lines().map_while(|line| line.strip_prefix("//! "));
        let sentence = lines.next().expect("the sentence").to_owned();
        let header = lines.next().unwrap_or("").trim_matches(['(', ')']).to_owned();
        if name != "main" && has(&header) {
            cases.push(Case { name, path, sentence, header });
        }
    }
    assert!(cases.len() >= least, "{} cases", cases.len());
    cases
}

/// rustc's errors: code, message and line, for the call of the macro that a user wrote.
fn errors(case: &Case, edition: &str, library: &Path) -> Vec<(String, String, u64)> {
    let has = |words: &str| case.header.split(", ").any(|part| part == words);
    let mut rustc = bare(env::var_os("RUSTC").unwrap_or("rustc".into()));
    // What decides here is what Cargo sets, so this says it in its place.
    if !has("without Cargo") {
        rustc.env("CARGO", env!("CARGO")).env("CARGO_CRATE_NAME", &case.name);
    }
    let kind = ["cdylib", "proc-macro"].into_iter().find(|kind| has(kind)).unwrap_or("bin");
    if kind == "bin" && !has("without Cargo") {
        rustc.env("CARGO_BIN_NAME", &case.name);
    }
    rustc
        .args(["--edition", edition, "--error-format", "json", "--emit", "metadata"])
        .args(["--crate-type", kind, "--crate-name", &case.name, "--out-dir"])
        .arg(concat!(env!("CARGO_TARGET_TMPDIR"), "/refused"))
        .args(["--extern", &format!("alloc_switch={}", library.display())])
        .arg(format!("-Ldependency={}", library.parent().unwrap().display()))
        .arg(&case.path);
    let out = rustc.output().unwrap();
    let messages = String::from_utf8(out.stderr).unwrap();
    let mut errors = Vec::new();
    for message in messages.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        // rustc ends with a summary that points nowhere
        if message["level"] == "error" && !message["spans"].as_array().unwrap().is_empty() {
            let mut span = &message["spans"][0];
            while !span["expansion"].is_null() {
                span = &span["expansion"]["span"];
            }
            let code = message["code"]["code"].as_str().unwrap_or("").to_owned();
            // rustc breaks long lines of a user's text
            let text = message["message"].as_str().unwrap();
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            errors.push((code, text, span["line_start"].as_u64().unwrap()));
        }
    }
    assert_eq!(out.status.success(), errors.is_empty(), "{}: {messages}", case.name);
    errors
}

/// Compares what rustc says with what the file says. Ours has to be the only error.
fn check(case: &Case, library: &Path) -> Result<(), String> {
    let errors = errors(case, "2021", library);
    let Some((code, message, line)) = errors.first() else { return Err("it compiles".into()) };
    let is_ours = case.sentence.starts_with("alloc-switch: ");
    // rustc's own words before ours differ between versions.
    let ours = message.find("alloc-switch: ").map_or(message.as_str(), |at| &message[at..]);
    let is_expected = match case.sentence.split_once(' ').expect("a sentence") {
        _ if is_ours => ours == case.sentence && errors.len() == 1,
        (expected, words) => code == expected && message.contains(words),
    };
    if !is_expected {
        return Err(format!("{errors:#?}"));
    }
    let source = fs::read_to_string(&case.path).unwrap();
    let call = 1 + source.lines().position(|line| line.contains("alloc_switch::")).unwrap() as u64;
    if is_ours && *line < call {
        return Err(format!("it points to line {line}"));
    }
    Ok(())
}

fn assert_refused(cases: &[Case], library: &Path) {
    let wrong = cases.iter().filter_map(|case| Some((&case.name, check(case, library).err()?)));
    let wrong: Vec<_> = wrong.map(|(name, why)| format!("{name}: {why}")).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn mistakes_are_refused_where_jemalloc_may_be_had() {
    assert_refused(&cases(40, |header| !header.contains("override-malloc")), &library(&[]));
}

/// On the target that its author builds for a mistake is seen, and not first on another.
#[test]
fn mistakes_are_refused_where_jemalloc_is_not_to_be_had() {
    let library = library(&["--no-default-features"]);
    assert_refused(&cases(30, |header| !header.contains("with ")), &library);
}

#[test]
fn libraries_are_refused_under_override_malloc() {
    let library = library_with("override-malloc");
    assert_refused(&cases(2, |header| header.contains("override-malloc")), &library);
}

/// The way out that the sentences name: with it the same libraries compile.
#[test]
fn libraries_on_jemalloc_compile_with_the_feature_that_permits_them() {
    let library = library_with("jemalloc-in-libraries");
    for case in cases(3, |header| header == "cdylib, with jemalloc") {
        assert_eq!(errors(&case, "2021", &library), [], "{}", case.name);
    }
}

/// Whatever the caller calls its own items, macros and modules, and with every warning an error;
/// without jemalloc too, whose symbol once took a name on some targets only.
#[test]
fn a_callers_names_are_its_own_in_every_edition() {
    let folder = Path::new(ROOT).join("tests/fixtures/callers/src/bin");
    for library in [library(&[]), library(&["--no-default-features"])] {
        for (name, edition) in [
            ("names", "2015"),
            ("names", "2018"),
            ("names", "2021"),
            ("names", "2024"),
            ("in_a_function", "2021"),
        ] {
            let path = folder.join(name).with_extension("rs");
            let case = Case { name: name.into(), path, sentence: "".into(), header: "".into() };
            assert_eq!(errors(&case, edition, &library), [], "{name} in {edition}");
        }
    }
}

/// Cargo's variables describe the rlib of a crate that may be linked into programs, so that nobody
/// but its author knows what it is for.
#[test]
fn a_library_that_says_nothing_is_warned() {
    let warned = |word: &str| {
        let warnings = fixture("libraries").args(["--example", word]).command("check").warnings();
        warnings.into_iter().filter(|text| text.contains("executable")).collect::<Vec<_>>()
    };
    let warnings = warned("says_nothing");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("THIS_LIBRARY_GETS_THE_SYSTEM_ALLOCATOR"), "{warnings:?}");
    assert!(warnings[0].contains("never in a cdylib"), "{warnings:?}");
    assert_eq!(warned("says_system"), [""; 0]);
}
