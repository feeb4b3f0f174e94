//! Names, editions and lints of the crates that call the macros, and types that do not fit.

use std::fs;
use std::path::Path;

use crate::support::{self, fixture, jemalloc, Built};
use serde_json::Value;

const EDITIONS: [&str; 4] = ["2015", "2018", "2021", "2024"];

/// Programs of the fixture, `names` in an edition that the manifest does not name: Cargo hands its
/// calls of the compiler to a script. What `names` reads of the environment makes Cargo compile it
/// again for each edition, and nothing else.
fn programs(edition: &str, arguments: &[&str]) -> Built {
    let script = Path::new(env!("CARGO_TARGET_TMPDIR")).join("editions/rustc");
    let text = "#!/bin/sh\nrustc=$1\nshift\ncase \"$*\" in\n\
                *'--crate-name names --edition='*) ;;\n\
                *'--crate-name names '*) exit 1 ;;\n\
                *) exec \"$rustc\" \"$@\" ;;\nesac\nfor argument do\nshift\ncase $argument in\n\
                --edition=*) argument=--edition=$NAMES_EDITION ;;\nesac\n\
                set -- \"$@\" \"$argument\"\ndone\nexec \"$rustc\" \"$@\"\n";
    support::script(&script, text);
    let names = ["--bin", "names", "--bin", "in_a_function", "--bin", "names_custom"];
    fixture("sound")
        .env("RUSTC_WORKSPACE_WRAPPER", script.to_str().unwrap())
        .env("NAMES_EDITION", edition)
        .args(names)
        .args(arguments.iter().copied())
        .build()
}

/// Whatever the caller calls its own items, macros and modules, in every edition, and with every
/// warning an error.
#[test]
fn a_callers_names_are_its_own() {
    let line = jemalloc("executable artifact");
    for edition in EDITIONS {
        let built = programs(edition, &[]);
        let out = built.run("names", &[]);
        assert_eq!(out, format!("{edition}: {line}; 2 7 8\n"));
        assert_eq!(built.run("in_a_function", &[]), format!("{line}; Ok(())\n"));
        assert_eq!(built.run("names_custom", &[]), "true\n");
    }
}

/// The same where there is no jemalloc, whose symbol once took a name on some targets only.
#[test]
fn so_they_are_without_jemalloc() {
    let line = "system (feature jemalloc is off)";
    for edition in EDITIONS {
        let built = programs(edition, &["--no-default-features"]);
        let out = built.run("names", &[]);
        assert_eq!(out, format!("{edition}: {line}; - - -\n"));
        assert_eq!(built.run("in_a_function", &[]), format!("{line}; Ok(())\n"));
        assert_eq!(built.run("names_custom", &[]), "true\n");
    }
}

/// The first line of each program is the code and the words of the first error. A contradiction is
/// found where the value is made, by whatever way, so each program is built and not only checked.
#[test]
fn what_does_not_fit_is_refused() {
    let folder = Path::new(support::ROOT).join("tests/fixtures/refused-values/src/bin");
    let (mut count, mut wrong) = (0, Vec::new());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let source = fs::read_to_string(&path).unwrap();
        let expected = source.lines().next().unwrap().strip_prefix("//! ").unwrap();
        let (code, words) = expected.split_once(' ').unwrap();
        let build = fixture("refused-values").args(["--bin", name, "--message-format", "json"]);
        let stdout = String::from_utf8(build.output().stdout).unwrap();
        let first = stdout
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["message"].clone())
            .find(|message| message["level"] == "error" && message["code"].is_object());
        let said = first.as_ref().and_then(|first| first["message"].as_str());
        let is_expected = first.as_ref().is_some_and(|first| first["code"]["code"] == code)
            && said.is_some_and(|said| said.contains(words));
        if !is_expected {
            wrong.push(format!("{name}: {}", said.unwrap_or("compiles")));
        }
        count += 1;
    }
    assert!(count >= 12, "{count} cases");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A crate that Cargo compiles as a library is told so, if its author has not said what it is.
#[test]
fn a_crate_that_may_be_linked_into_executables_is_warned() {
    let out = fixture("seat").features("says-nothing").command("check").output();
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{stderr}");
    let warning = "this crate is a library, and gets the system allocator: write `executable` as \
                   the macro's argument if it is linked into executables, or `system` if it is a \
                   library for other programs";
    assert_eq!(stderr.matches(warning).count(), 1, "{stderr}");
    assert!(stderr.contains("tests/fixtures/seat/src/lib.rs:"), "{stderr}");
    let out = fixture("seat").command("check").output();
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && !stderr.contains("warning"), "{stderr}");
}
