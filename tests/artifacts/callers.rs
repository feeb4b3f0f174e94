//! Names, editions and lints of the crates that call the macros.

use std::path::Path;

use crate::support::{self, fixture, jemalloc, Built};

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
                --edition=*) argument=--edition=$CALLERS_EDITION ;;\nesac\n\
                set -- \"$@\" \"$argument\"\ndone\nexec \"$rustc\" \"$@\"\n";
    support::script(&script, text);
    fixture("callers")
        .env("RUSTC_WORKSPACE_WRAPPER", script.to_str().unwrap())
        .env("CALLERS_EDITION", edition)
        .args(["--bin", "names", "--bin", "in_a_function"])
        .args(arguments.iter().copied())
        .build()
}

/// Whatever the caller calls its own items, macros and modules, in every edition, and with every
/// warning an error; without jemalloc too, whose symbol once took a name on some targets only.
#[test]
fn a_callers_names_are_its_own_in_every_edition() {
    for (arguments, line, options) in [
        (&["--features", "asks-jemalloc"][..], jemalloc("executable artifact"), "7 8"),
        (&["--no-default-features"], "system (feature jemalloc is off)".to_owned(), "-1 -1"),
    ] {
        for edition in EDITIONS {
            let built = programs(edition, arguments);
            let out = built.run("names", &[]);
            assert_eq!(out, format!("{edition}: {line}; {options}\n"));
            assert_eq!(built.run("in_a_function", &[]), format!("{line}\n"));
        }
    }
}
