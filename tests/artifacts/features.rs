//! What a feature turns on in jemalloc, and where it does not.

use std::process::Command;

/// jemalloc's line in `cargo tree`, its features in it.
fn jemalloc(target: &str, features: &str, rustflags: &str) -> Option<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args([
            "tree",
            "--locked",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p} [{f}]",
        ])
        .args(["--package", "alloc-switch", "--target", target])
        .args(["--no-default-features", "--features", features])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", rustflags);
    let out = cargo.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let tree = String::from_utf8(out.stdout).unwrap();
    let line = tree.lines().find(|line| line.starts_with("tikv-jemalloc-sys "))?;
    Some(line[line.find('[').unwrap()..].to_owned())
}

const GNU: &str = "x86_64-unknown-linux-gnu";

#[test]
fn each_feature_reaches_jemalloc() {
    for (feature, jemalloc_feature) in [
        ("jemalloc-in-libraries", "disable_initial_exec_tls"),
        ("override-malloc", "override_allocator_on_supported_platforms"),
        ("background-threads", "background_threads"),
        ("stats", "stats"),
        ("profiling", "profiling"),
        ("profiling-libunwind", "profiling_libunwind"),
        ("debug", "debug"),
    ] {
        let plain = jemalloc(GNU, "jemalloc", "").unwrap();
        assert_eq!(plain, "[]", "nothing that was not asked for");
        let with = jemalloc(GNU, &format!("jemalloc,{feature}"), "").unwrap();
        let features: Vec<_> = with.trim_matches(['[', ']']).split(',').collect();
        assert!(features.contains(&jemalloc_feature), "{feature}: {with}");
    }
}

/// There the request aborts the program or is known not to work.
#[test]
fn background_threads_are_never_requested_on_apple_and_musl() {
    for target in [
        "aarch64-apple-darwin",
        "x86_64-apple-darwin",
        "x86_64-unknown-linux-musl",
        "aarch64-unknown-linux-musl",
    ] {
        assert_eq!(
            jemalloc(target, "jemalloc,background-threads", "").as_deref(),
            Some("[]"),
            "{target}"
        );
    }
    let system = r#"--cfg alloc_switch="system""#;
    assert_eq!(
        jemalloc(GNU, "background-threads", system),
        None,
        "a veto takes the request out too"
    );
    assert_eq!(jemalloc("x86_64-pc-windows-msvc", "background-threads", ""), None);
}

/// A feature that says how jemalloc is built does not bring it.
#[test]
fn without_jemalloc_the_others_bring_none() {
    for feature in ["jemalloc-in-libraries", "override-malloc", "stats", "profiling", "debug"] {
        assert_eq!(jemalloc(GNU, feature, ""), None, "{feature}");
    }
}
