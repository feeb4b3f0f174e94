//! The builder has the last word, and a veto takes jemalloc out of the build altogether.

use std::process::Command;

use crate::hosts::{assert_clean, assert_no_jemalloc};
use crate::support::{self, fixture, host, run, Fixture};

fn has_jemalloc(program: &Fixture) -> bool {
    program.tree().iter().any(|package| package.contains("jemalloc"))
}

/// The first line of the program, built with these flags and arguments.
fn first_line(rustflags: &str, args: &[&str]) -> String {
    let program = fixture("every-program").rustflags(rustflags).args(args.iter().copied());
    assert!(!has_jemalloc(&program), "{rustflags}");
    let built = program.args(["--bin", "every-program"]).build();
    assert!(built.jemalloc.is_none());
    assert_no_jemalloc(built.file("every-program"));
    let out = built.run("every-program", &[]);
    assert!(out.ends_with("done\n"), "{out}");
    out.lines().next().unwrap().to_owned()
}

const SYSTEM: &str = r#"--cfg alloc_switch="system""#;

#[test]
fn a_veto_takes_jemalloc_out_of_the_graph_and_the_program() {
    let by_cfg = r#"system (--cfg alloc_switch="system")"#;
    assert_eq!(first_line(SYSTEM, &[]), by_cfg);
    assert_eq!(first_line("", &["--no-default-features"]), "system (feature jemalloc is off)");
    // With `--target`, build scripts are not compiled for each of the flags.
    let target = ["--target", host()];
    for name in ["miri", "kani", "fuzzing"] {
        let line = first_line(&format!("--cfg {name}"), &target);
        assert_eq!(line, format!("system (cfg({name}))"));
    }
    // It beats every vote, wherever that stands.
    let votes = "jemalloc-in-libraries,override-malloc";
    let both = format!(r#"{SYSTEM} --cfg alloc_switch="jemalloc""#);
    assert_eq!(first_line(&both, &["--features", votes, "--target", host()]), by_cfg);
}

/// Without jemalloc in the graph no C is compiled.
#[test]
fn a_veto_takes_jemalloc_out_of_the_graph_of_every_kind_of_artifact() {
    let others = ["bin-and-cdylib", "libraries", "uses-a-dylib", "proc-macro-and-user"];
    let others = others.iter().flat_map(|package| ["--package", package]);
    let all = || fixture("every-program").args(others.clone());
    assert!(has_jemalloc(&all()), "without a veto");
    assert!(!has_jemalloc(&all().rustflags(SYSTEM)));
    assert!(!has_jemalloc(&all().args(["--no-default-features"])));
}

/// std is a shared library then, which frees the program's memory with libc's `free`. The flags
/// alone decide: the target directory is the same.
#[test]
fn under_prefer_dynamic_the_program_gets_the_system_allocator_and_works() {
    let archive = fixture("every-program").command("check").build().jemalloc();
    for (flags, line) in [
        ("-C prefer-dynamic", "system (-C prefer-dynamic)\n"),
        ("-C prefer-dynamic=no", "jemalloc (executable artifact)\n"),
    ] {
        let program = fixture("every-program").args(["--bin", "every-program"]).rustflags(flags);
        let built = program.prebuilt_jemalloc(&archive).build();
        let mut program = Command::new(built.file("every-program"));
        // names a thread, asks for the current directory, panics and catches it
        let out = run(program.env("LD_LIBRARY_PATH", support::shared_std()));
        assert!(out.starts_with(line) && out.ends_with("done\n"), "{flags}: {out}");
    }
}

/// `--cfg alloc_switch="jemalloc"` is for targets off the list and for artifacts that Cargo does
/// not build. Here it finds neither, and the policy decides.
#[test]
fn the_cfg_for_jemalloc_does_not_vote() {
    let archive = fixture("every-program").command("check").build().jemalloc();
    let cfg = r#"--cfg alloc_switch="jemalloc""#;
    let built = fixture("every-program")
        .args(["--bin", "every-program", "--package", "libraries", "--example", "says_nothing"])
        .rustflags(cfg)
        .prebuilt_jemalloc(&archive)
        .build();
    // A jemalloc from elsewhere has no version that the build could know.
    let out = built.run("every-program", &[]);
    assert!(out.starts_with("jemalloc (executable artifact)\n"), "{out}");
    assert_clean(built.file("libsays_nothing.so"));
    // The author's word needs the feature as before.
    let library = fixture("libraries").args(["--example", "says_jemalloc"]).rustflags(cfg);
    let errors = library.prebuilt_jemalloc(&archive).errors();
    assert!(errors[0].contains("jemalloc-in-libraries"), "{errors:?}");
}

#[test]
fn an_unknown_value_of_the_cfg_is_an_error_that_names_the_two() {
    let archive = fixture("every-program").command("check").build().jemalloc();
    for cfg in [r#"--cfg alloc_switch="sytem""#, "--cfg alloc_switch"] {
        let program = fixture("every-program").rustflags(cfg).prebuilt_jemalloc(&archive);
        let out = program.output();
        let stderr = String::from_utf8(out.stderr).unwrap();
        let sentence = format!(
            "error: alloc-switch: unknown value in {cfg}: write --cfg alloc_switch=\"system\" or \
             --cfg alloc_switch=\"jemalloc\"\n"
        );
        assert!(!out.status.success() && stderr.contains(&sentence), "{stderr}");
    }
}
