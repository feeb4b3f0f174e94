//! The feature `override-malloc`: C code gets jemalloc too, and a shared std can live with it.

use std::process::Command;

use crate::hosts::report;
use crate::support::{self, fixture, jemalloc, run};

#[test]
fn c_code_in_the_same_program_gets_jemalloc() {
    let built = fixture("app").features("override-malloc,witness").build();
    let program = built.file("fixture-app");
    let out = run(&mut Command::new(program));
    let line = jemalloc("executable artifact");
    let expected = format!("{line}\nOk(())\nbox: jemalloc; strdup: jemalloc\nnarenas: Some(3)\n");
    assert!(out.starts_with(&expected) && out.ends_with("done\n"), "{out}");
}

#[test]
fn a_shared_std_and_the_program_meet_in_one_malloc() {
    let archive = fixture("app").features("override-malloc,witness").build().jemalloc();
    let app = fixture("app").features("override-malloc,witness").rustflags("-C prefer-dynamic");
    let built = app.prebuilt_jemalloc(&archive).build();
    let out =
        run(Command::new(built.file("fixture-app")).env("LD_LIBRARY_PATH", support::shared_std()));
    let expected = "jemalloc (executable artifact)\nOk(())\nbox: jemalloc; strdup: jemalloc\nnarenas: Some(3)\n";
    assert!(out.starts_with(expected) && out.ends_with("done\n"), "{out}");
}

/// A stripped program still tells `alloc-inspect` what it has.
#[test]
fn a_stripped_program_carries_an_unprefixed_jemalloc() {
    let built = fixture("app").features("override-malloc").args(["--bins"]).build();
    let stripped = built.folder.join("stripped");
    run(Command::new("strip").arg("-o").arg(&stripped).arg(built.file("fixture-app")));
    let report = report(&stripped);
    let found = report.jemalloc.as_ref().expect("a program carries jemalloc");
    // Apple's malloc is overridden without taking its name.
    assert_eq!(found.prefixed, cfg!(target_vendor = "apple"));
    let version = found.version.as_deref().unwrap();
    assert_eq!(
        jemalloc("executable artifact"),
        format!("jemalloc {version} (executable artifact)")
    );
}

/// `System` is `malloc`, and `malloc` is jemalloc's: the choice does not hold, and the self-check
/// says so.
#[test]
fn the_self_check_sees_jemalloc_behind_the_system_allocator() {
    let out = fixture("app")
        .features("override-malloc,witness,writes-system")
        .build()
        .run("fixture-app", &[]);
    assert!(out.starts_with("system (global_allocator!(system))\nErr(Artifact("), "{out}");
    assert!(out.contains("box: jemalloc; strdup: jemalloc\n"), "{out}");
}

#[test]
fn a_library_artifact_is_refused() {
    // a procedural macro is built apart, and would compile a jemalloc of its own
    let archive = fixture("app").features("override-malloc,witness").build().jemalloc();
    for library in ["plugin", "archive", "shared", "derive"] {
        let registers = if library == "shared" { ",registers" } else { "" };
        let errors = fixture(library)
            .features(&format!("override-malloc{registers}"))
            .prebuilt_jemalloc(&archive)
            .command("check")
            .errors();
        assert_eq!(errors.len(), 1, "{library}: {errors:?}");
        assert!(
            errors[0].0.ends_with(
                "alloc-switch: the feature `override-malloc` puts a private jemalloc behind this library artifact's \
                 malloc: build the library without it, or write `global_allocator!(jemalloc)` and turn on the feature \
                 `jemalloc-in-libraries`"
            ),
            "{library}: {errors:?}"
        );
    }
}

/// A distribution's library has no prefix, ours has one by default; mixed up, they do not link.
#[test]
fn a_library_with_other_names_is_refused() {
    let with_prefix = fixture("app").build().jemalloc();
    let without = fixture("app").features("override-malloc,witness").build().jemalloc();
    for (archive, features, sentence) in [
        (
            without,
            "",
            "is a jemalloc without the prefix _rjem_: turn the feature `override-malloc` on\n",
        ),
        (
            with_prefix,
            "override-malloc",
            "is a jemalloc with the prefix _rjem_: turn the feature `override-malloc` off\n",
        ),
        // What a machine without the package for developers has, and the linker does not find.
        (
            std::path::Path::new(support::ROOT).join("Cargo.toml"),
            "",
            "cannot be handed to the linker: name a file such as libjemalloc.so or libjemalloc.a\n",
        ),
    ] {
        let out = fixture("app").features(features).prebuilt_jemalloc(&archive).output();
        let stderr = String::from_utf8(out.stderr).unwrap();
        let sentence =
            format!("error: alloc-switch: JEMALLOC_OVERRIDE={} {sentence}", archive.display());
        assert!(!out.status.success() && stderr.contains(&sentence), "{stderr}");
    }
}
