//! Whoever builds has the last word, and a veto takes jemalloc out of the build altogether.

use crate::hosts::report;
use crate::support::{fixture, host, jemalloc};

/// The first line and the self-check of the program, built with these flags and features.
fn app(rustflags: &str, args: &[&str]) -> String {
    let fixture = fixture("app").rustflags(rustflags).args(args.iter().copied());
    assert!(!fixture.tree().iter().any(|package| package.contains("jemalloc")), "{rustflags}");
    let built = fixture.build();
    assert!(built.jemalloc.is_none());
    let report = report(built.file("fixture-app"));
    assert!(!report.has_jemalloc() && report.jemalloc_symbols.is_empty(), "{report}");
    let out = built.run("fixture-app", &[]);
    assert!(out.ends_with("done\n"), "{out}");
    out.lines().take(2).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_veto_takes_jemalloc_out_of_the_graph_and_the_program() {
    let system = r#"--cfg alloc_switch="system""#;
    assert_eq!(app(system, &[]), r#"system (--cfg alloc_switch="system") Ok(())"#);
    assert_eq!(app("", &["--no-default-features"]), "system (feature jemalloc is off) Ok(())");
    // With `--target`, build scripts are not compiled for each of the flags.
    let target = ["--target", host()];
    assert_eq!(app("--cfg miri", &target), "system (cfg(miri)) Ok(())");
    assert_eq!(app("--cfg kani", &target), "system (cfg(kani)) Ok(())");
    assert_eq!(app("--cfg fuzzing", &target), "system (cfg(fuzzing)) Ok(())");
    // it beats every vote, wherever that stands
    let votes = "writes-jemalloc,jemalloc-in-libraries,override-malloc";
    let all = ["--features", votes, "--target", host()];
    assert_eq!(app(system, &all), r#"system (--cfg alloc_switch="system") Ok(())"#);
    let both = r#"--cfg alloc_switch="system" --cfg alloc_switch="jemalloc""#;
    assert_eq!(app(both, &all), r#"system (--cfg alloc_switch="system") Ok(())"#);
}

#[test]
fn the_author_decides_between_the_parentheses() {
    let out = fixture("app").features("writes-system").build().run("fixture-app", &[]);
    assert!(
        out.starts_with("system (global_allocator!(system))\nOk(())\n") && out.ends_with("done\n"),
        "{out}"
    );
    let out = fixture("app").features("writes-jemalloc,witness").build().run("fixture-app", &[]);
    let line = jemalloc("global_allocator!(jemalloc)");
    assert!(
        out.starts_with(&format!("{line}\nOk(())\nbox: jemalloc; ")) && out.ends_with("done\n"),
        "{out}"
    );
}

/// `--cfg alloc_switch="jemalloc"` is for targets off the list and for artifacts of unknown type.
/// Here it finds neither, and the policy decides.
#[test]
fn the_cfg_for_jemalloc_does_not_vote() {
    let archive = fixture("app").build().jemalloc();
    let cfg = r#"--cfg alloc_switch="jemalloc""#;
    let built =
        fixture("app").features("witness").rustflags(cfg).prebuilt_jemalloc(&archive).build();
    let out = built.run("fixture-app", &[]);
    // a jemalloc from elsewhere has no version that the build could know
    let expected = "jemalloc (executable artifact)\nOk(())\nbox: jemalloc; strdup: not jemalloc\n\
                    narenas: Some(3)\n";
    assert!(out.starts_with(expected) && out.ends_with("done\n"), "{out}");

    let library = fixture("plugin").rustflags(cfg).prebuilt_jemalloc(&archive).build();
    let report = report(library.file("libfixture_plugin.so"));
    assert!(!report.has_jemalloc() && report.jemalloc_symbols.is_empty(), "{report}");
    // and the author's word needs the feature as before
    let errors = fixture("plugin")
        .features("writes-jemalloc")
        .rustflags(cfg)
        .prebuilt_jemalloc(&archive)
        .errors();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(
        errors[0]
            .0
            .contains("jemalloc in a library artifact needs the feature `jemalloc-in-libraries`"),
        "{errors:?}"
    );
}

#[test]
fn an_unknown_cfg_value_is_an_error_that_names_the_two() {
    let archive = fixture("app").build().jemalloc();
    for cfg in [r#"--cfg alloc_switch="mimalloc""#, "--cfg alloc_switch"] {
        let out = fixture("app").rustflags(cfg).prebuilt_jemalloc(&archive).output();
        let stderr = String::from_utf8(out.stderr).unwrap();
        let sentence = format!(
            "error: alloc-switch: unknown value in {cfg}: write --cfg alloc_switch=\"system\" or \
             --cfg alloc_switch=\"jemalloc\"\n"
        );
        assert!(!out.status.success() && stderr.contains(&sentence), "{stderr}");
    }
}

/// The flags alone decide, in one target directory, back and forth.
#[test]
fn a_change_of_flags_is_noticed() {
    let system = fixture("app").rustflags(r#"--cfg alloc_switch="system""#);
    for _ in 0..2 {
        assert!(fixture("app").build().run("fixture-app", &[]).starts_with("jemalloc "));
        assert!(system.build().run("fixture-app", &[]).starts_with("system "));
    }
}
