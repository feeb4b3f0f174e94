//! Everything that runs as a program of its own gets jemalloc, with the options that it states.

use std::process::Command;

use crate::support::{self, fixture, jemalloc};

const ON_JEMALLOC: &str = "box: jemalloc; strdup: not jemalloc\n";

#[test]
fn programs_examples_tests_and_benches_get_jemalloc() {
    let program = || fixture("every-program").features("asks-jemalloc");
    let programs = program().args(["--bin", "every-program", "--examples"]).build();
    let tests = program().command("test").args(["--all-targets", "--no-run"]).build();
    let expected = format!("{}\n{ON_JEMALLOC}", jemalloc("executable artifact"));

    for name in ["every-program", "show"] {
        let out = programs.run(name, &[]);
        assert!(out.starts_with(&expected) && out.ends_with("done\n"), "{name}: {out}");
    }
    // The unit tests of the library and of the program are both `every_program`.
    let mut seen = Vec::new();
    for file in tests.files.iter().filter(|file| file.extension().is_none()) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let stem = name.rsplit_once('-').map_or(name, |(stem, _)| stem);
        if !["every_program", "integration", "harness", "plain"].contains(&stem) {
            continue;
        }
        seen.push(stem.to_owned());
        let mut test = Command::new(file);
        let out = support::run(test.arg("--nocapture").current_dir(support::ROOT));
        assert!(out.contains(&expected) && out.contains("done\n"), "{name}: {out}");
    }
    seen.sort();
    let expected = ["every_program", "every_program", "harness", "integration", "plain"];
    assert_eq!(seen, expected, "{:?}", tests.files);
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
