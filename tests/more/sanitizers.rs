//! A sanitizer must see every allocation. Needs a nightly toolchain: `rustup toolchain install
//! nightly`.

use std::process::Command;

use crate::hosts::assert_no_jemalloc;
use crate::support::{fixture, host, Fixture};

fn program() -> Fixture {
    fixture("uses-a-handle").args(["--bin", "overflows"])
}

fn on_nightly() -> Fixture {
    program()
        .toolchain("nightly")
        .env("CARGO_TARGET_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/nightly"))
}

/// Cargo compiles jemalloc, since it does not know, and nothing uses it.
#[test]
fn address_sanitizer_catches_a_heap_overflow() {
    let archive = program().command("check").build().jemalloc();
    let asan = on_nightly().rustflags("-Zsanitizer=address").prebuilt_jemalloc(&archive).build();
    assert_eq!(asan.run("overflows", &[]), "system (sanitizer)\nOk(())\n");
    assert_no_jemalloc(asan.file("overflows"));
    let out = Command::new(asan.file("overflows")).arg("overflow").output().unwrap();
    let stderr = String::from_utf8_lossy(&out.stderr);
    let caught = stderr.contains("AddressSanitizer: heap-buffer-overflow");
    assert!(!out.status.success() && caught, "{stderr}");
    // Without the sanitizer the same mistake goes unseen, so that this shows something.
    let out = program().args(["--target", host()]).prebuilt_jemalloc(&archive).build();
    assert!(out.run("overflows", &["overflow"]).contains("unseen"));
}

/// `cargo rustc -- -Zsanitizer=address` tells rustc and nobody else.
#[test]
fn a_self_check_sees_a_sanitizer_that_the_build_script_does_not() {
    let archive = program().command("check").build().jemalloc();
    let with = |flags: &[&str]| {
        let program = on_nightly().prebuilt_jemalloc(&archive);
        program.rustc(flags.iter().copied()).build().run("overflows", &[])
    };
    let line = "jemalloc (executable artifact)\n";
    assert_eq!(with(&[]), format!("{line}Ok(())\n"));
    let out = with(&["-Zsanitizer=address"]);
    assert!(out.starts_with(line) && out.contains("Err(Sanitizer("), "{out}");
}
