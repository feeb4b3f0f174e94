//! What Cargo builds beside the crate, and with which features.

use std::path::Path;
use std::process::Command;

use crate::support::{run, ROOT};

/// `cargo tree` in a folder of this project: a line for each package, with its features.
fn tree(folder: &str, arguments: &[&str], rustflags: &str) -> Vec<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["tree", "--locked", "--edges", "normal", "--prefix", "none"])
        .args(["--format", "{p} [{f}]"])
        .args(arguments)
        .current_dir(Path::new(ROOT).join(folder))
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", rustflags);
    run(&mut cargo).lines().map(str::to_owned).collect()
}

const GNU: &str = "x86_64-unknown-linux-gnu";

/// Of the crate, without its default features.
fn tree_with(target: &str, features: &str, rustflags: &str) -> Vec<String> {
    let of_the_crate = ["--package", "alloc-switch", "--no-default-features"];
    let arguments = [&of_the_crate[..], &["--target", target, "--features", features]].concat();
    tree("", &arguments, rustflags)
}

fn jemalloc(target: &str, features: &str, rustflags: &str) -> Option<String> {
    let tree = tree_with(target, features, rustflags);
    let line = tree.iter().find(|line| line.starts_with("tikv-jemalloc-sys "))?;
    Some(line[line.find('[').unwrap()..].to_owned())
}

fn names(tree: &[String]) -> Vec<&str> {
    let mut names: Vec<_> = tree.iter().map(|line| line.split(' ').next().unwrap()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[test]
fn the_core_depends_on_cfg_if_and_jemalloc_alone() {
    let direct = ["--package", "alloc-switch", "--target", GNU, "--depth", "1"];
    assert_eq!(
        names(&tree("", &direct, "")),
        ["alloc-switch", "cfg-if", "tikv-jemalloc-sys", "tikv-jemallocator"]
    );
    for (target, features) in [("x86_64-pc-windows-msvc", "jemalloc"), (GNU, "")] {
        assert_eq!(names(&tree_with(target, features, "")), ["alloc-switch", "cfg-if"]);
    }
    // jemalloc's own packages have libc; ours has it for the layers.
    let direct = |features| {
        let depth = ["--depth", "1", "--features", features];
        let crate_alone = ["--package", "alloc-switch", "--no-default-features"];
        names(&tree("", &[&crate_alone[..], &depth].concat(), "")).contains(&"libc")
    };
    assert!(!direct("") && direct("handle") && direct("in-place"));
}

#[test]
fn each_feature_reaches_jemalloc() {
    for (feature, jemalloc_feature) in [
        ("jemalloc-in-libraries", "disable_initial_exec_tls"),
        ("override-malloc", "override_allocator_on_supported_platforms"),
        ("stats", "stats"),
        ("profiling", "profiling"),
        ("profiling-libunwind", "profiling_libunwind"),
        ("debug", "debug"),
    ] {
        let plain = jemalloc(GNU, "jemalloc,handle,in-place", "").unwrap();
        assert_eq!(plain, "[]", "nothing that was not asked for");
        let with = jemalloc(GNU, &format!("jemalloc,{feature}"), "").unwrap();
        let features: Vec<_> = with.trim_matches(['[', ']']).split(',').collect();
        assert!(features.contains(&jemalloc_feature), "{feature}: {with}");
    }
    // jemalloc's own feature aborts a program where there are no such threads.
    let all = "jemalloc,stats,profiling,override-malloc,jemalloc-in-libraries,debug,handle";
    assert!(!jemalloc(GNU, all, "").unwrap().contains("background_threads"));
}

/// A feature that says how jemalloc is built does not bring it, and a veto beats it.
#[test]
fn no_other_feature_brings_jemalloc() {
    let others = "jemalloc-in-libraries,override-malloc,stats,profiling,debug,handle,in-place";
    assert_eq!(jemalloc(GNU, others, ""), None);
    let system = r#"--cfg alloc_switch="system""#;
    assert_eq!(jemalloc(GNU, &format!("jemalloc,{others}"), system), None);
}

/// rocksdb 0.24 with its feature `jemalloc` takes tikv-jemalloc-sys 0.6, and this crate with it.
/// Programs on that jemalloc are tested in the same package.
#[test]
fn a_program_beside_rocksdb_resolves() {
    let tree = tree("tests/jemalloc-0.6", &["--features", "beside-rocksdb"], "");
    let has = |package: &str| tree.iter().any(|line| line.starts_with(package));
    assert!(has("rocksdb v0.24") && has("tikv-jemallocator v0.6.1"), "{tree:?}");
    assert!(has("tikv-jemalloc-sys v0.6.1+5.3.0") && !has("tikv-jemalloc-sys v0.7"), "{tree:?}");
}
