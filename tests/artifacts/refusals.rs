//! What cannot work is refused while it compiles, once, in one sentence, at the line of the macro
//! call.

use std::fs;
use std::path::Path;

use crate::support::{self, fixture, Fixture};

/// Folders below `tests/fixtures/refused` with one artifact in each file.
fn assert_all_refused(folder: &str, target: &str) {
    let folder = Path::new(support::ROOT).join("tests/fixtures/refused").join(folder);
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert_refused(&path, fixture("refused").args([target, name]));
        count += 1;
    }
    assert!(count >= 4, "{count} cases");
}

/// The first line of the source is the sentence.
fn assert_refused(path: &Path, fixture: Fixture) {
    let source = fs::read_to_string(path).unwrap();
    let sentence =
        source.lines().next().and_then(|line| line.strip_prefix("//! ")).expect("the sentence");
    let call =
        1 + source.lines().position(|line| line.contains("alloc_switch::")).expect("a call") as u64;

    let errors = fixture.command("check").errors();
    assert_eq!(errors.len(), 1, "{path:?}: {errors:?}");
    let (message, file, line) = &errors[0];
    // rustc's own words before ours differ between versions
    let ours = message.find("alloc-switch: ").map_or(message.as_str(), |at| &message[at..]);
    assert_eq!(ours, sentence, "{path:?}");
    assert!(path.ends_with(file), "{path:?}: points to {file}");
    assert!(*line >= call, "{path:?}: points to line {line}");
}

#[test]
fn programs() {
    assert_all_refused("src/bin", "--bin");
}

#[test]
fn libraries() {
    assert_all_refused("examples", "--example");
}

#[test]
fn a_procedural_macro() {
    // built for the compiler's host, and so with a jemalloc of its own
    let archive = fixture("app").build().jemalloc();
    let path = Path::new(support::ROOT).join("tests/fixtures/refused-macro/src/lib.rs");
    assert_refused(&path, fixture("refused-macro").prebuilt_jemalloc(&archive));
}

/// Cargo's variables describe the rlib of a crate that may be linked into programs. Nobody knows
/// but its author.
#[test]
fn a_library_that_does_not_say_what_it_is_for_is_warned() {
    let note = "this crate is a library, and gets the system allocator: write `executable`";
    let warnings = |features| fixture("plugin").features(features).command("check").warnings();
    let warned = warnings("");
    assert_eq!(warned.iter().filter(|warning| warning.contains(note)).count(), 1, "{warned:?}");
    assert_eq!(warnings("writes-system"), [""; 0]);
}
