//! Variables and flags that an outer build has left behind: each changes nothing, or stops the
//! build with a sentence; and once they are gone, the same target directory builds again.

use std::path::PathBuf;
use std::process::Output;

use crate::support::{fixture, host, Fixture};

fn archive() -> PathBuf {
    fixture("every-program").command("check").build().jemalloc()
}

/// A directory in which nothing else is built, with the jemalloc that is already there.
fn apart(name: &str, archive: Option<&PathBuf>) -> Fixture {
    let folder = format!("{}/leaks-{name}", env!("CARGO_TARGET_TMPDIR"));
    let fixture = fixture("callers").env("CARGO_TARGET_DIR", folder);
    match archive {
        Some(archive) => fixture.env("JEMALLOC_OVERRIDE", archive.to_str().unwrap()),
        None => fixture.args(["--no-default-features"]),
    }
}

/// Whether the sentence is in what Cargo says.
#[track_caller]
fn assert_stops(out: &Output, sentence: &str) {
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && stderr.contains(sentence), "{stderr}");
}

const PROGRAM: [&str; 2] = ["--bin", "fallback"];

/// Every library would look like an executable. A build that was clean before stops too, and builds
/// again after.
#[test]
fn a_variable_that_marks_executables_stops_the_build() {
    let archive = archive();
    for target in [&[][..], &["--target", host()]] {
        let build = || apart("again", Some(&archive)).args(PROGRAM).args(target.iter().copied());
        let clean = |when: &str| {
            let built = build().build();
            let out = built.run("fallback", &[]);
            assert_eq!(out, "jemalloc (executable artifact); false\n", "{when}");
        };
        clean("before");
        for (name, value) in [
            ("CARGO_BIN_NAME", "outer"),
            ("CARGO_BIN_NAME", ""),
            ("CARGO_TARGET_TMPDIR", "/tmp"),
            ("CARGO_TARGET_TMPDIR", ""),
        ] {
            let out = build().env(name, value).output();
            let sentence = format!(
                "error: alloc-switch: {name}={value} is in the environment that Cargo was started \
                 in, where it makes every library look like an executable: start Cargo without \
                 it, as in `env -u {name} cargo build`"
            );
            assert_stops(&out, &sentence);
            clean(name);
        }
    }
}

/// A build that is not to have jemalloc still has none, and one that is still has it.
#[test]
fn a_variable_that_the_build_script_does_not_believe_changes_nothing() {
    let archive = archive();
    let leaks = [
        ("CARGO_FEATURE_JEMALLOC", "1"),
        ("CARGO_FEATURE_OVERRIDE_MALLOC", "1"),
        ("CARGO_FEATURE_JEMALLOC_IN_LIBRARIES", "1"),
        ("CARGO_CFG_FUZZING", ""),
        ("CARGO_CFG_KANI", ""),
        ("CARGO_CFG_SANITIZE", "address"),
        ("CARGO_CFG_ALLOC_SWITCH", "system"),
        ("CARGO_CFG_ALLOC_SWITCH", "jemalloc"),
        ("CARGO_CFG_TARGET_ABI", "x32"),
        ("CARGO_CFG_TARGET_OS", "windows"),
        ("CARGO_CFG_FEATURE", "jemalloc"),
        ("DEP_JEMALLOC_ROOT", "/nonexistent"),
        ("CARGO_PRIMARY_PACKAGE", "1"),
        ("CARGO_CRATE_NAME", "outer"),
        ("OUT_DIR", "/nonexistent"),
        ("TARGET", "x86_64-pc-windows-msvc"),
        ("HOST", "x86_64-pc-windows-msvc"),
    ];
    // All at once from nothing, and then one after the other on top of a build without them.
    for (name, archive, line) in [
        ("believed", Some(&archive), "jemalloc (executable artifact); false\n"),
        ("disbelieved", None, "system (feature jemalloc is off); false\n"),
    ] {
        let build = || apart(name, archive).args(PROGRAM);
        let _ = std::fs::remove_dir_all(format!("{}/leaks-{name}", env!("CARGO_TARGET_TMPDIR")));
        let all = leaks.iter().fold(build(), |build, (name, value)| build.env(name, *value));
        assert_eq!(all.build().run("fallback", &[]), line, "all at once");
        assert_eq!(build().build().run("fallback", &[]), line, "without any");
        for (leak, value) in leaks {
            let built = build().env(leak, value).build();
            assert_eq!(built.run("fallback", &[]), line, "{leak}={value}");
        }
    }
}

/// Miri's cfg is the one that the build script cannot see elsewhere. The crate sees that it is not
/// set; a build without the variable is a clean one.
#[test]
fn a_build_that_only_seems_to_be_miris_is_stopped() {
    let archive = archive();
    let build = || apart("miri", Some(&archive)).args(["--bin", "fallback"]);
    let _ = std::fs::remove_dir_all(concat!(env!("CARGO_TARGET_TMPDIR"), "/leaks-miri"));
    let out = build().env("CARGO_CFG_MIRI", "").output();
    assert_stops(&out, "alloc-switch: the build script and rustc see different cfgs");
    let line = "jemalloc (executable artifact); false\n";
    assert_eq!(build().build().run("fallback", &[]), line, "after a build that was stopped");
    let again = build().env("CARGO_CFG_MIRI", "");
    let out = again.output();
    if out.status.success() {
        assert_eq!(again.build().run("fallback", &[]), line, "changed nothing");
    } else {
        assert_stops(&out, "alloc-switch: the build script and rustc see different cfgs");
    }
}

/// The flags of an outer build reach an inner Cargo, which prefers them to its own RUSTFLAGS: they
/// are then the flags of this build, for Cargo, the build script and rustc alike.
#[test]
fn flags_that_are_inherited_are_this_builds() {
    let archive = archive();
    let flags = "--cfg=alloc_switch=\"system\"";
    let program = apart("again", Some(&archive)).args(["--bin", "fallback"]);
    let built = program.clone().env("CARGO_ENCODED_RUSTFLAGS", flags).build();
    assert_eq!(built.run("fallback", &[]), "system (--cfg alloc_switch=\"system\"); false\n");
    let out = program.build().run("fallback", &[]);
    assert_eq!(out, "jemalloc (executable artifact); false\n", "after it");
}
