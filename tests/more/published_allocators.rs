//! Allocators from the registry: as the fallback, in jemalloc's place, as they stand; and published
//! wrappers around the chosen one. The package has this crate under another name.
//!
//! The target of this machine is on the list, so the fallback is seen where a compiler says that it
//! builds for the vendor openwrt. What is built runs here.

use std::process::Command;

use crate::hosts::report;
use crate::support::{self, fixture, jemalloc, run, Fixture};

const UNLISTED: &str = "target not on the jemalloc list";

fn unlisted() -> Fixture {
    fixture("other-allocators")
        .env("RUSTC", support::rustc_by_vendor("openwrt").to_str().unwrap())
        .env("CARGO_TARGET_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/openwrt/target"))
}

/// The programs with mimalloc as the fallback.
const FALLBACKS: [&str; 4] = ["fallback", "fallback_named", "everything", "wrapped"];

#[test]
fn an_unlisted_target_gets_the_fallback() {
    let tree = unlisted().tree();
    assert!(!tree.iter().any(|package| package.contains("jemalloc")), "{tree:?}");
    let built = unlisted().build();
    let line = format!("mimalloc::MiMalloc ({UNLISTED})");
    for program in FALLBACKS {
        assert_eq!(built.run(program, &[]), format!("{line}; mimalloc\n"), "{program}");
    }
    // The fallback is for another target still.
    let out = built.run("fallback_elsewhere", &[]);
    assert_eq!(out, format!("system ({UNLISTED}); not mimalloc\n"));
    // A fallback with a size is itself in the static.
    let out = built.run("fallback_with_a_size", &[]);
    assert!(out.starts_with("cap::Cap<mimalloc::MiMalloc> (target not"), "{out}");
    assert!(out.ends_with("; mimalloc; limited: true\n"), "{out}");
    let out = built.run("fallback_by_reference", &[]);
    assert!(out.starts_with("&stats_alloc::StatsAlloc<std::alloc::System> (target"), "{out}");
    assert!(out.ends_with("; counted: true\n"), "{out}");
    assert_own(&built);
}

#[test]
fn a_listed_target_gets_jemalloc() {
    let built = fixture("other-allocators").build();
    let line = jemalloc("executable artifact");
    for program in FALLBACKS.iter().chain(&["fallback_elsewhere"]) {
        assert_eq!(built.run(program, &[]), format!("{line}; not mimalloc\n"), "{program}");
    }
    let out = built.run("fallback_with_a_size", &[]);
    assert_eq!(out, format!("{line}; not mimalloc; limited: false\n"));
    assert_eq!(built.run("fallback_by_reference", &[]), format!("{line}; counted: false\n"));
    assert!(!report(built.file("custom")).has_jemalloc());
    assert_own(&built);
}

/// What the author's word alone decides is the same on every target.
fn assert_own(built: &support::Built) {
    let line = "mimalloc::MiMalloc (global_allocator!(custom)); mimalloc\n";
    assert_eq!(built.run("custom", &[]), line);
    assert_eq!(built.run("as_it_stands", &[]), "mimalloc\n");
}

/// A veto takes it away, and not one that stands in Rust's own form.
#[test]
fn a_veto_gives_the_system_allocator() {
    let flags = r#"--cfg alloc_switch="system""#;
    let programs = ["--bin", "custom", "--bin", "fallback_named", "--bin", "as_it_stands"];
    let built = unlisted().args(programs).rustflags(flags).build();
    let line = format!("system ({flags}); not mimalloc\n");
    assert_eq!(built.run("custom", &[]), line);
    assert_eq!(built.run("fallback_named", &[]), line);
    assert_eq!(built.run("as_it_stands", &[]), "mimalloc\n");
}

/// Compiled from C++: `apt-get install g++`.
#[test]
fn snmalloc_is_a_fallback_and_in_jemallocs_place() {
    let programs = ["--bin", "snmalloc_fallback", "--bin", "snmalloc_custom"];
    let built = unlisted().features("snmalloc").args(programs).build();
    for (program, reason) in
        [("snmalloc_fallback", UNLISTED), ("snmalloc_custom", "global_allocator!(custom)")]
    {
        let line = format!("snmalloc_rs::SnMalloc ({reason})\n");
        assert_eq!(built.run(program, &[]), line);
        let symbols = run(Command::new("nm").arg(built.file(program)));
        assert!(symbols.contains("sn_rust_alloc"), "{program} has no snmalloc");
    }
}
