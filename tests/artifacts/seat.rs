//! `executable`: a library crate that owns the static of programs; and a sanitizer that the build
//! script cannot see.

use std::fs;
use std::path::Path;

use crate::support::{fixture, note};
use object::{Object, ObjectSymbol};

fn has_symbol(file: &Path, name: &str) -> bool {
    let bytes = fs::read(file).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let found = file.symbols().any(|s| s.is_definition() && s.name() == Ok(name));
    found
}

/// The package of the crate that owns the static has a program, and another package has two.
#[test]
fn programs_get_what_the_crate_says_that_they_link() {
    let programs = fixture("seat-users").args(["--package", "fixture-seat"]);
    for (built, line) in programs.dev_and_release() {
        let report = format!("{line}; Ok(()); 3 77\n");
        assert_eq!(built.run("fixture-seat", &[]), report);
        assert_eq!(built.run("second", &[]), report);
        let out = built.run("first", &[]);
        assert_eq!(out, "box: jemalloc; strdup: not jemalloc\nSome(3)\n");
        for program in ["fixture-seat", "first", "second"] {
            let file = built.file(program);
            assert!(has_symbol(file, "_rjem_mallocx"), "{program}");
            assert!(has_symbol(file, "_rjem_malloc_conf"), "{program}");
            assert_eq!(note(file), line, "{program}");
        }
    }
}

/// Without the argument the crate is a library, and warned of it in `callers.rs`.
#[test]
fn without_the_argument_they_get_the_system_allocator() {
    let built = fixture("seat-users").features("says-nothing").build();
    assert_eq!(built.run("second", &[]), "system (library artifact); Ok(()); - -\n");
    let out = built.run("first", &[]);
    assert!(out.starts_with("box: not jemalloc; strdup: not jemalloc\n"), "{out}");
}

/// `cargo rustc -- -Zsanitizer=address` tells rustc and nobody else. Needs a nightly toolchain.
#[test]
fn a_self_check_sees_a_sanitizer_that_the_build_script_does_not() {
    let archive = fixture("app").command("check").build().jemalloc();
    let program = fixture("asan")
        .toolchain("nightly")
        .env("CARGO_TARGET_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/nightly"))
        .prebuilt_jemalloc(&archive);
    let with = |flags: &[&str]| {
        program.clone().rustc(flags.iter().copied()).build().run("fixture-asan", &[])
    };
    let line = "jemalloc (executable artifact)\n";
    assert_eq!(with(&[]), format!("{line}Ok(())\n"));
    let out = with(&["-Zsanitizer=address"]);
    assert_eq!(out.lines().next(), line.lines().next(), "{out}");
    assert!(out.contains("Err(Sanitizer("), "{out}");
}
