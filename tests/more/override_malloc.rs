//! The feature `override-malloc`: C code gets jemalloc too, and a shared std can live with it.

use std::process::Command;

use crate::hosts::{in_c, report};
use crate::support::{self, fixture, jemalloc, run, Fixture};

fn program() -> Fixture {
    fixture("every-program").features("override-malloc,asks-jemalloc").args(["--bins"])
}

#[test]
fn c_code_in_the_same_program_gets_jemalloc() {
    let built = program().build();
    let line = jemalloc("executable artifact");
    let expected = format!("{line}\nbox: jemalloc; strdup: jemalloc\nnarenas: Some(3)\n");
    let out = built.run("every-program", &[]);
    assert!(out.starts_with(&expected) && out.ends_with("done\n"), "{out}");
    // `System` is `malloc`, and `malloc` is jemalloc's.
    let out = built.run("says_system", &[]);
    let expected = "system (global_allocator!(system))\nbox: jemalloc; strdup: jemalloc\n";
    assert!(out.starts_with(expected), "{out}");

    // A stripped program still tells `alloc-inspect` what it has.
    let stripped = built.folder.join("stripped");
    run(Command::new("strip").arg("-o").arg(&stripped).arg(built.file("every-program")));
    let found = report(&stripped).jemalloc.expect("a program carries jemalloc");
    // Apple's malloc is overridden without taking its name.
    assert_eq!(found.prefixed, cfg!(target_vendor = "apple"));
    assert_eq!(line, format!("jemalloc {} (executable artifact)", found.version.unwrap()));
}

#[test]
fn a_shared_std_and_the_program_meet_in_one_malloc() {
    let archive = program().build().jemalloc();
    let built = program().rustflags("-C prefer-dynamic").prebuilt_jemalloc(&archive).build();
    let mut program = Command::new(built.file("every-program"));
    let out = run(program.env("LD_LIBRARY_PATH", support::shared_std()));
    let expected = "jemalloc (executable artifact)\nbox: jemalloc; strdup: jemalloc\n\
                    narenas: Some(3)\n";
    assert!(out.starts_with(expected) && out.ends_with("done\n"), "{out}");
}

/// The choice does not hold, and the self-check says so.
#[test]
fn the_self_check_sees_jemalloc_behind_the_system_allocator() {
    let archive = program().build().jemalloc();
    let built = fixture("uses-a-handle")
        .features("override-malloc")
        .args(["--bins"])
        .prebuilt_jemalloc(&archive)
        .build();
    let out = built.run("wrapped_system", &[]);
    assert!(out.starts_with("system (global_allocator!(system)): Err(Artifact("), "{out}");
    // A block grows in place too, where `malloc` itself tells LLVM the size.
    let program = fixture("uses-a-handle").features("override-malloc,registers-in-library");
    let program = program.args(["--release", "--bin", "grow_in_place"]);
    let out = program.prebuilt_jemalloc(&archive).build().run("grow_in_place", &[]);
    let grown = ["System", "Chosen", "std::alloc::alloc", "dyn System", "dyn Chosen"]
        .map(|of| format!("{of}: 1 0\n"));
    assert_eq!(out, format!("jemalloc\n{}", grown.concat()));
}

/// One that calls the macro is refused (tests/refused); nothing can refuse this one, since it calls
/// none. The documentation of the feature says what it must do.
#[test]
fn a_library_that_only_names_a_type_cannot_be_loaded() {
    let archive = program().build().jemalloc();
    let library = || fixture("libraries").args(["--example", "names_a_type"]);
    let clean = library().build();
    assert!(!report(clean.file("libnames_a_type.so")).has_jemalloc());
    assert_eq!(in_c(&clean, "libnames_a_type.so", "free"), "None\nNone\ndone\n");

    let broken = library().features("override-malloc").prebuilt_jemalloc(&archive).build();
    let found = report(broken.file("libnames_a_type.so"));
    assert!(found.has_jemalloc() && found.static_tls, "{found}");
    let out = in_c(&broken, "libnames_a_type.so", "free");
    assert!(out.contains("cannot allocate memory in static TLS block"), "{out}");
}

/// A distribution's library has no prefix, ours has one by default: mixed up, the linker says so.
#[test]
fn a_jemalloc_with_other_names_does_not_link() {
    let with_prefix = fixture("every-program").command("check").build().jemalloc();
    let without = program().build().jemalloc();
    for (archive, features, missing) in
        [(without, "", "_rjem_"), (with_prefix, "override-malloc", "mallocx")]
    {
        let program = fixture("every-program").args(["--bin", "every-program"]).features(features);
        let out = program.prebuilt_jemalloc(&archive).output();
        let stderr = String::from_utf8(out.stderr).unwrap();
        let undefined =
            stderr.contains("undefined reference") || stderr.contains("undefined symbol");
        assert!(!out.status.success() && undefined && stderr.contains(missing), "{stderr}");
    }
}
