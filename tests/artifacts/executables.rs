//! Everything that runs as a program of its own gets jemalloc, as the compiler gave it until 1.31.

use crate::support::{self, fixture, jemalloc};

#[test]
fn a_binary_and_an_executable_example() {
    let built = fixture("app").args(["--features", "witness", "--bins", "--examples"]).build();
    for name in ["fixture-app", "show"] {
        let out = built.run(name, &[]);
        let expected = format!(
            "{}\nOk(())\nbox: jemalloc; strdup: not jemalloc\n",
            jemalloc("executable artifact")
        );
        assert!(out.starts_with(&expected) && out.ends_with("done\n"), "{name}: {out}");
    }
}

#[test]
fn unit_tests_integration_tests_and_benches() {
    let built = fixture("app")
        .command("test")
        .args(["--features", "witness", "--all-targets", "--no-run"])
        .build();
    // `fixture_app` is the library's unit tests, `fixture-app` is not built: its tests are a second
    // `fixture_app`
    let programs: Vec<_> = built.files.iter().filter(|f| f.extension().is_none()).collect();
    let mut seen = 0;
    for program in programs {
        let name = program.file_name().unwrap().to_str().unwrap();
        let stem = name.rsplit_once('-').map_or(name, |(stem, _)| stem);
        if !["fixture_app", "integration", "harness", "plain"].contains(&stem) {
            continue;
        }
        seen += 1;
        let out = support::run(
            std::process::Command::new(program).arg("--nocapture").current_dir(support::ROOT),
        );
        let expected = format!(
            "{}\nOk(())\nbox: jemalloc; strdup: not jemalloc\n",
            jemalloc("executable artifact")
        );
        assert!(out.contains(&expected) && out.contains("done\n"), "{name}: {out}");
    }
    assert_eq!(
        seen, 5,
        "two unit test programs, an integration test and two benches: {:?}",
        built.files
    );
}

#[test]
fn the_program_says_what_cargo_compiled() {
    let built = fixture("app").args(["--bins"]).build();
    let archive = built.jemalloc.as_ref().expect("jemalloc was built");
    let version = std::fs::read(archive).unwrap();
    let out = built.run("fixture-app", &[]);
    let line = out.lines().next().unwrap();
    let version_in_line = line.split(' ').nth(1).unwrap();
    assert!(
        version
            .windows(version_in_line.len() + 1)
            .any(|w| w == format!("{version_in_line}-").as_bytes()),
        "{line}"
    );
}
