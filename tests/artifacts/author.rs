//! An allocator that the author names: in jemalloc's place, or where jemalloc is not to be had.
//! `Of` stands for any; published ones are in `tests/more`.

use crate::support::{self, fixture, jemalloc, Fixture};

/// The programs, for a target that is not on the list: this machine's, by another vendor. What is
/// built runs here.
fn unlisted(package: &str) -> Fixture {
    fixture(package)
        .env("RUSTC", support::rustc_by_vendor("openwrt").to_str().unwrap())
        .env("CARGO_TARGET_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/openwrt/target"))
}

const UNLISTED: &str = "target not on the jemalloc list";
const PROGRAMS: [&str; 4] = ["--bin", "fallback", "--bin", "custom"];

/// What both programs print: the line, and whether the author's allocator is the one in use.
#[track_caller]
fn assert_lines(program: Fixture, fallback: &str, custom: &str) {
    let built = program.args(PROGRAMS).build();
    assert_eq!(built.run("fallback", &[]), format!("{fallback}\n"));
    assert_eq!(built.run("custom", &[]), format!("{custom}\n"));
}

const CUSTOM: &str = "callers::Of (global_allocator!(custom)); true";

#[test]
fn a_listed_target_gets_jemalloc_or_what_is_in_its_place() {
    let line = format!("{}; false", jemalloc("executable artifact"));
    assert_lines(fixture("callers"), &line, CUSTOM);
}

/// They speak of jemalloc alone.
#[test]
fn the_target_and_the_feature_are_no_veto_on_an_authors_allocator() {
    let fallback = format!("callers::Of ({UNLISTED}); true");
    assert_lines(unlisted("callers"), &fallback, CUSTOM);
    let off = "system (feature jemalloc is off); false";
    assert_lines(unlisted("callers").args(["--no-default-features"]), off, CUSTOM);
    assert_lines(fixture("callers").args(["--no-default-features"]), off, CUSTOM);
}

/// On a listed target, and off the list. That each of the others does, tests/rule shows.
#[test]
fn another_veto_gives_the_system_allocator() {
    let archive = fixture("callers").command("check").build().jemalloc();
    let listed = || fixture("callers").prebuilt_jemalloc(&archive);
    let flags = r#"--cfg alloc_switch="system""#;
    let line = format!("system ({flags}); false");
    assert_lines(listed().rustflags(flags), &line, &line);
    assert_lines(unlisted("callers").rustflags(flags), &line, &line);
    // A sanitizer is for the program alone, so the target is named; stable has it under lock.
    let line = "system (sanitizer); false";
    let sanitized = listed().env("RUSTC_BOOTSTRAP", "1").rustflags("-Zsanitizer=address");
    assert_lines(sanitized, line, line);
}

#[test]
fn a_form_without_a_name_and_a_wrapper_work_without_unsafe_code() {
    let built = fixture("callers")
        .features("asks-jemalloc")
        .args(["--bin", "custom_unnamed", "--bin", "wrapped"])
        .build();
    assert_eq!(built.run("custom_unnamed", &[]), "true\n");
    let line = jemalloc("executable artifact");
    assert_eq!(
        built.run("wrapped", &[]),
        format!("{line}; true; box: jemalloc; strdup: not jemalloc\n")
    );
}

/// `custom` links no jemalloc: what is not named is not there.
#[test]
fn an_allocator_in_jemallocs_place_brings_no_jemalloc() {
    let built = fixture("callers").args(PROGRAMS).build();
    crate::hosts::assert_no_jemalloc(built.file("custom"));
    assert!(crate::hosts::report(built.file("fallback")).has_jemalloc());
}
