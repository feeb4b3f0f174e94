//! Everything that runs as a program of its own gets jemalloc, with the options that it states.

use std::process::Command;

use crate::support::{fixture, jemalloc};

const ON_JEMALLOC: &str = "box: jemalloc; strdup: not jemalloc\n";

#[test]
fn programs_examples_tests_and_benches_get_jemalloc() {
    let program = || fixture("every-program").features("asks-jemalloc");
    let programs = program().args(["--bin", "every-program", "--examples"]).build();
    let expected = format!("{}\n{ON_JEMALLOC}", jemalloc("executable artifact"));
    for name in ["every-program", "show"] {
        let out = programs.run(name, &[]);
        assert!(out.starts_with(&expected) && out.ends_with("done\n"), "{name}: {out}");
    }
    // The unit tests of the library and of the program, a test, and a benchmark with a harness and
    // without.
    let tests = program().command("test").args(["--all-targets", "--", "--nocapture"]).output();
    let out = String::from_utf8_lossy(&tests.stdout);
    assert!(tests.status.success(), "{out}\n{}", String::from_utf8_lossy(&tests.stderr));
    assert_eq!((out.matches(&expected).count(), out.matches("done\n").count()), (5, 5), "{out}");
}

#[test]
fn authors_say_who_and_with_which_options_and_the_environment_beats_these() {
    let built = fixture("every-program").features("asks-jemalloc").args(["--bins"]).build();
    let out = built.run("says_system", &[]);
    let on_system = "box: not jemalloc; strdup: not jemalloc\n";
    assert_eq!(out, format!("system (global_allocator!(system))\n{on_system}done\n"));
    // several strings, one of them for another system; the last flag wins
    let out = built.run("says_jemalloc", &[]);
    let line = jemalloc("global_allocator!(jemalloc)");
    let options = "narenas: Some(3)\ndirty_decay_ms: Some(77)\n";
    assert_eq!(out, format!("{line}\n{ON_JEMALLOC}{options}done\n"));

    assert!(built.run("every-program", &[]).contains("narenas: Some(3)\n"));
    let mut program = Command::new(built.file("every-program"));
    let out = program.env("_RJEM_MALLOC_CONF", "narenas:5").output().unwrap();
    assert!(String::from_utf8_lossy(&out.stdout).contains("narenas: Some(5)\n"));
    assert_eq!(String::from_utf8_lossy(&out.stderr), "");
}

/// jemalloc prints the options that it finds.
#[test]
fn the_options_are_the_callers_constants_whatever_their_names() {
    let built = fixture("callers").args(["--bin", "names", "--bin", "in_a_function"]).build();
    let mut names = Command::new(built.file("names"));
    let out = names.env("_RJEM_MALLOC_CONF", "confirm_conf:true").output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    let options =
        "\"narenas:2,tcache:true,retain:true,zero:false,dirty_decay_ms:7,muzzy_decay_ms:8,\
                   abort_conf:true\"";
    assert!(out.status.success() && said.contains(options), "{said}");
    let line = jemalloc("executable artifact");
    assert_eq!(built.run("in_a_function", &[]), format!("{line}\n"));
}

/// A crate owns the static; its package has a program, and another package has two.
#[test]
fn programs_get_what_the_crate_says_that_they_link() {
    let programs = fixture("links-that-static").args(["--package", "static-in-a-library"]);
    for (built, line) in programs.dev_and_release() {
        assert_eq!(built.run("static-in-a-library", &[]), format!("{line}\n"));
        assert_eq!(built.run("prints_it", &[]), format!("{line}\n"));
        assert_eq!(built.run("names_nothing", &[]), format!("{ON_JEMALLOC}Some(3) Some(77)\n"));
    }
    let built = fixture("links-that-static").features("says-nothing").build();
    assert_eq!(built.run("prints_it", &[]), "system (library artifact)\n");
    let out = built.run("names_nothing", &[]);
    assert!(out.starts_with("box: not jemalloc; strdup: not jemalloc\n"), "{out}");
}
