//! What a file says of itself for whoever does not run it, in each way in which it may be linked.

use std::path::Path;
use std::process::Command;

use crate::hosts::report;
use crate::support::{fixture, jemalloc, run};

/// The notes in a file, as `alloc-inspect` finds them.
fn notes(file: &Path) -> Vec<String> {
    report(file).decisions.into_iter().map(|decision| decision.text).collect()
}

#[test]
fn a_program_says_in_its_file_what_it_prints() {
    let built = fixture("every-program").args(["--bins"]).build();
    for (program, line) in [
        ("every-program", jemalloc("executable artifact")),
        ("says_jemalloc", jemalloc("global_allocator!(jemalloc)")),
        ("says_system", "system (global_allocator!(system))".to_owned()),
    ] {
        let file = built.file(program);
        assert_eq!(notes(file), [line.as_str()], "{program}");
        assert_eq!(built.run(program, &[]).lines().next(), Some(&*line));
        // ELF's own way to read it
        let readelf = run(Command::new("readelf").arg("-n").arg(file));
        assert!(readelf.contains("alloc-switch"), "{readelf}");

        let stripped = built.folder.join("stripped");
        run(Command::new("strip").arg("-o").arg(&stripped).arg(file));
        assert_eq!(notes(&stripped), [line], "{program}, stripped");
    }
}

#[test]
fn an_authors_allocator_is_in_the_note() {
    let built = fixture("callers").args(["--bin", "custom"]).build();
    // The type as the author wrote it; the program prints it as rustc does.
    assert_eq!(notes(built.file("custom")), ["Of (global_allocator!(custom))"]);
}

#[test]
fn a_library_on_the_system_allocator_has_no_note() {
    let built = fixture("libraries").args(["--example", "says_nothing"]).build();
    assert_eq!(notes(built.file("libsays_nothing.so")), [""; 0]);
}

/// Linkers drop what they think nobody reads. GNU ld and rust-lld are there with Rust and binutils.
#[test]
fn no_linker_and_no_optimisation_drops_it() {
    let archive = fixture("every-program").command("check").build().jemalloc();
    let release = ["--release", "--bin", "every-program"];
    for flags in [
        "-Clink-arg=-fuse-ld=bfd",
        "-Clink-self-contained=+linker -Zunstable-options -Clinker-features=+lld",
        "-Clink-arg=-Wl,--gc-sections -Clto=fat -Cembed-bitcode=yes",
        "-Cstrip=symbols",
    ] {
        let program = fixture("every-program").args(release).rustflags(flags);
        let built = program.env("RUSTC_BOOTSTRAP", "1").prebuilt_jemalloc(&archive).build();
        let line = built.run("every-program", &[]).lines().next().unwrap().to_owned();
        assert_eq!(notes(built.file("every-program")), [line], "{flags}");
    }
}
