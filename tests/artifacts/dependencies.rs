//! What Cargo builds beside the crate, and with which features.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::support::{run, ROOT};

/// `cargo tree` in a folder of this project: a line for each package, with its features.
fn tree(folder: &str, arguments: &[&str], rustflags: &str) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["tree", "--locked", "--edges", "normal,build", "--prefix", "none"])
        .args(["--format", "{p} [{f}]"])
        .args(arguments)
        .current_dir(Path::new(ROOT).join(folder))
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", rustflags);
    run(&mut cargo)
}

/// Of the crate, with these features alone.
fn tree_with(features: &str, more: &[&str], rustflags: &str) -> String {
    let with = ["--package", "alloc-switch", "--no-default-features", "--features", features];
    tree("", &[&with[..], more].concat(), rustflags)
}

const GNU: [&str; 2] = ["--target", "x86_64-unknown-linux-gnu"];

/// jemalloc's features, if it is there.
fn jemalloc(features: &str, rustflags: &str) -> Option<String> {
    let tree = tree_with(features, &GNU, rustflags);
    let line = tree.lines().find(|line| line.starts_with("tikv-jemalloc-sys "))?;
    Some(line[line.find('[').unwrap()..].to_owned())
}

/// So that no C is compiled where jemalloc is not wanted.
#[test]
fn the_core_depends_on_cfg_if_and_jemalloc_alone() {
    let windows = ["--target", "x86_64-pc-windows-msvc"];
    let system = "--cfg alloc_switch=\"system\"";
    let beside = |features: &str, more: &[&str], rustflags: &str| -> BTreeSet<String> {
        let tree = tree_with(features, more, rustflags);
        tree.lines().skip(1).map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    };
    let direct = [&GNU[..], &["--depth", "1"]].concat();
    assert!(beside("", &GNU, "").iter().eq(["cfg-if"]));
    assert!(beside("jemalloc", &windows, "").iter().eq(["cfg-if"]));
    assert!(beside("jemalloc", &GNU, system).iter().eq(["cfg-if"]));
    let allowed = beside("jemalloc", &windows, "--cfg alloc_switch=\"jemalloc\"");
    assert!(allowed.contains("tikv-jemalloc-sys"), "{allowed:?}");
    let with_jemalloc = ["cfg-if", "tikv-jemalloc-sys", "tikv-jemallocator"];
    assert!(beside("jemalloc", &direct, "").iter().eq(with_jemalloc));
    for layer in ["handle", "in-place"] {
        assert!(beside(layer, &direct, "").iter().eq(["cfg-if", "libc"]), "{layer}");
    }
}

#[test]
fn each_feature_reaches_jemalloc() {
    let plain = jemalloc("jemalloc,handle,in-place", "");
    assert_eq!(plain.as_deref(), Some("[]"), "nothing that was not asked for");
    for (feature, jemalloc_feature) in [
        ("jemalloc-in-libraries", "disable_initial_exec_tls"),
        ("override-malloc", "override_allocator_on_supported_platforms"),
        ("stats", "stats"),
        ("profiling", "profiling"),
        ("profiling-libunwind", "profiling_libunwind"),
        ("debug", "debug"),
    ] {
        let with = jemalloc(&format!("jemalloc,{feature}"), "").unwrap();
        let mut features = with.trim_matches(['[', ']']).split(',');
        assert!(features.any(|feature| feature == jemalloc_feature), "{feature}: {with}");
        // It aborts a program where there are no such threads.
        assert!(!with.contains("background_threads"), "{feature}: {with}");
    }
}

/// A feature that says how jemalloc is built does not bring it, and a veto beats it.
#[test]
fn no_other_feature_brings_jemalloc() {
    let others = "jemalloc-in-libraries,override-malloc,stats,profiling,debug,handle,in-place";
    assert_eq!(jemalloc(others, ""), None);
    let system = r#"--cfg alloc_switch="system""#;
    assert_eq!(jemalloc(&format!("jemalloc,{others}"), system), None);
}

/// rocksdb 0.24 with its feature `jemalloc` takes tikv-jemalloc-sys 0.6, and this crate with it.
/// Programs on that jemalloc are tested in the same package.
#[test]
fn a_program_beside_rocksdb_resolves() {
    let tree = tree("tests/jemalloc-0.6", &["--features", "beside-rocksdb"], "");
    let has = |package: &str| tree.lines().any(|line| line.starts_with(package));
    assert!(has("rocksdb v0.24") && has("tikv-jemallocator v0.6.1"), "{tree}");
    assert!(has("tikv-jemalloc-sys v0.6.1+5.3.0") && !has("tikv-jemalloc-sys v0.7"), "{tree}");
}
