//! A sanitizer must see every allocation.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{self, fixture, host, run};

/// Needs a nightly toolchain: `rustup toolchain install nightly`.
#[test]
fn address_sanitizer_catches_a_heap_overflow() {
    let target_dir = concat!(env!("CARGO_TARGET_TMPDIR"), "/nightly");
    let asan = fixture("asan")
        .toolchain("nightly")
        .rustflags("-Zsanitizer=address")
        .args(["--target", host()]);
    assert!(!asan.tree().iter().any(|package| package.contains("jemalloc")));
    let built = asan.args(["--target-dir", target_dir]).build();
    assert_eq!(built.run("fixture-asan", &[]), "system (sanitizer)\nOk(())\n");

    let out = Command::new(built.file("fixture-asan")).arg("overflow").output().unwrap();
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(
        !out.status.success() && stderr.contains("AddressSanitizer: heap-buffer-overflow"),
        "{stderr}"
    );
}

/// Without the sanitizer the same bug goes unseen, so that the test above shows something.
#[test]
fn without_it_nothing_is_caught() {
    let out = fixture("asan").build().run("fixture-asan", &["overflow"]);
    assert!(out.contains("unseen"), "{out}");
}

/// A sanitizer that the triple turns on is in no cfg of stable rustc. The build script, run as
/// Cargo runs it, sees it.
#[test]
fn the_build_script_sees_the_sanitizer_of_a_triple() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("build-script");
    fs::create_dir_all(&folder).unwrap();
    let veto = |triple: &str| {
        let said = run(&mut support::build_script(
            &folder,
            &format!("{triple} x86_64 unknown linux gnu little"),
        ));
        let facts = fs::read_to_string(folder.join("facts.rs")).unwrap();
        let veto = facts.lines().next().unwrap().rsplit_once(" = ").unwrap().1.to_owned();
        (veto, said.contains("cargo:rustc-cfg=alloc_switch_jemalloc\n"))
    };
    assert_eq!(veto("x86_64-unknown-linux-gnuasan"), ("Some(Reason::Sanitizer);".into(), false));
    assert_eq!(veto("x86_64-unknown-linux-gnu"), ("None;".into(), true));
}
