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

/// alloc-switch as Cargo has built it: its own file, and the folder with those that it names.
struct Library {
    file: PathBuf,
    folder: PathBuf,
}

impl Library {
    /// With the jemalloc that is built already, or with none.
    fn build(features: &[&str]) -> Self {
        let check = fixture("alloc-switch").command("check").args(["--lib"]);
        let file = check.args(features.iter().copied()).artifact("alloc_switch");
        Library { folder: file.parent().unwrap().to_owned(), file }
    }

    /// With a feature that takes another jemalloc. Nothing is linked, so that any file is one.
    fn with(feature: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("refused");
        let jemalloc = folder.join("libjemalloc.a");
        fs::create_dir_all(&folder).unwrap();
        fs::write(&jemalloc, "").unwrap();
        let check = fixture("alloc-switch").command("check").args(["--lib"]).features(feature);
        let file = check
            .env("CARGO_TARGET_DIR", folder.to_str().unwrap())
            .env("JEMALLOC_OVERRIDE", jemalloc.to_str().unwrap())
            .artifact("alloc_switch");
        Library { folder: file.parent().unwrap().to_owned(), file }
    }
}

/// A file of this folder, and what its first two lines say.
struct Case {
    name: String,
    path: PathBuf,
    sentence: String,
    header: String,
}

fn cases() -> Vec<Case> {
    let folder = Path::new(ROOT).join("tests/refused");
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if name == "main" {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        let mut lines = source.lines().map_while(|line| line.strip_prefix("//! "));
        let sentence = lines.next().expect("the sentence").to_owned();
        let header = lines.next().unwrap_or("").trim_matches(['(', ')']).to_owned();
        cases.push(Case { name, path, sentence, header });
    }
    assert!(cases.len() > 40, "{} cases", cases.len());
    cases
}

/// rustc's errors: code, message and line, for the call of the macro that a user wrote.
fn errors(case: &Case, library: &Library) -> Vec<(String, String, u64)> {
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
        .args(["--edition", "2021", "--error-format", "json", "--emit", "metadata"])
        .args(["--crate-type", kind, "--crate-name", &case.name, "--out-dir"])
        .arg(concat!(env!("CARGO_TARGET_TMPDIR"), "/refused"))
        .args(["--extern", &format!("alloc_switch={}", library.file.display())])
        .arg(format!("-Ldependency={}", library.folder.display()))
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
fn check(case: &Case, library: &Library) -> Result<(), String> {
    let errors = errors(case, library);
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

fn assert_refused<'a>(cases: impl Iterator<Item = &'a Case>, library: &Library, least: usize) {
    let (mut count, mut wrong) = (0, Vec::new());
    for case in cases {
        count += 1;
        if let Err(why) = check(case, library) {
            wrong.push(format!("{}: {why}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= least, "{count} cases");
}

#[test]
fn mistakes_are_refused_where_jemalloc_may_be_had() {
    let cases = cases();
    let cases = cases.iter().filter(|case| !case.header.contains("override-malloc"));
    assert_refused(cases, &Library::build(&[]), 40);
}

/// On the target that its author builds for a mistake is seen, and not first on another.
#[test]
fn mistakes_are_refused_where_jemalloc_is_not_to_be_had() {
    let cases = cases();
    let cases = cases.iter().filter(|case| !case.header.contains("with "));
    assert_refused(cases, &Library::build(&["--no-default-features"]), 30);
}

#[test]
fn libraries_are_refused_under_override_malloc() {
    let cases = cases();
    let cases = cases.iter().filter(|case| case.header.contains("override-malloc"));
    assert_refused(cases, &Library::with("override-malloc"), 2);
}

/// The way out that the sentences name: with it the same libraries compile.
#[test]
fn libraries_on_jemalloc_compile_with_the_feature_that_permits_them() {
    let library = Library::with("jemalloc-in-libraries");
    let cases = cases();
    let cases = cases.iter().filter(|case| case.header == "cdylib, with jemalloc");
    let mut count = 0;
    for case in cases {
        assert_eq!(errors(case, &library), [], "{}", case.name);
        count += 1;
    }
    assert!(count >= 3, "{count} cases");
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
