//! What the compiler knows of a block, and whose blocks a self-check looks at.

use std::process::Command;

use crate::support::{self, fixture, run, Fixture};

/// The optimiser is what used to go wrong, so this is built in release.
#[track_caller]
fn assert_grows(program: Fixture, allocator: &str) {
    let out = program.args(["--release", "--bin", "in_place"]).build().run("in_place", &[]);
    let grown = ["System", "Switch", "std::alloc::alloc", "dyn System", "dyn Switch"]
        .map(|of| format!("{of}: 1 0\n"));
    assert_eq!(out, format!("{allocator}\n{}", grown.concat()));
}

/// A block of 25 bytes grows where it stands, and a copy of the new pointer reads what was written
/// through the other one. Without `black_box` in `reallocate_inplace` the first byte reads 0 on the
/// system allocator, and on jemalloc through `std::alloc::alloc` in a library crate.
#[test]
fn a_block_that_grew_is_read_as_it_was_written() {
    let archive = fixture("app").command("check").build().jemalloc();
    assert_grows(fixture("sound").prebuilt_jemalloc(&archive), "jemalloc");
}

/// `malloc` itself tells LLVM the size.
#[test]
fn so_it_is_where_malloc_is_jemallocs() {
    let archive = fixture("app").features("override-malloc").command("check").build().jemalloc();
    let program = fixture("sound").features("override-malloc").prebuilt_jemalloc(&archive);
    assert_grows(program, "jemalloc");
}

/// A self-check asks no allocator about an address, so that whatever is registered, it may be
/// called. Each of the programs is `#![forbid(unsafe_code)]`.
#[test]
fn a_self_check_touches_nobody_elses_blocks() {
    for (built, jemalloc) in fixture("sound").dev_and_release() {
        let not_system = r#"Err(Artifact(Choice { name: "system", reason: MacroSystem }))"#;
        let not_jemalloc = r#"Err(Artifact(Choice { name: "jemalloc", reason: Executable }))"#;

        let out = built.run("check_on_jemalloc", &[]);
        assert_eq!(out, format!("{jemalloc}: Ok(())\n{not_system}\n"));

        let out = built.run("check_on_bump", &[]);
        assert_eq!(out, format!("{not_system}\n{not_jemalloc}\n"));

        let out = built.run("check_headed", &[]);
        assert_eq!(out, format!("{jemalloc}: Ok(())\n{not_system}\n"));

        let out = built.run("check_headed_system", &[]);
        assert_eq!(out, format!("Ok(())\n{not_jemalloc}\n"));
    }
}

/// The system allocator is whoever provides `malloc`: the C library's counters say nothing of
/// another's. Needs valgrind: `apt-get install valgrind`.
#[test]
fn a_self_check_knows_a_malloc_that_somebody_has_replaced() {
    let built = fixture("sound").args(["--bin", "check_headed_system"]).build();
    let program = built.file("check_headed_system");
    let preload = support::cc(
        "preload.c",
        &built.folder.join("preload.so"),
        &["-shared".as_ref(), "-fPIC".as_ref()],
    );
    let first = |command: &mut Command| run(command).lines().next().unwrap().to_owned();
    assert_eq!(first(&mut Command::new(program)), "Ok(())");
    assert_eq!(first(Command::new(program).env("LD_PRELOAD", preload)), "Ok(())", "preloaded");
    let valgrind = &mut Command::new("valgrind");
    assert_eq!(first(valgrind.args(["-q", "--error-exitcode=9"]).arg(program)), "Ok(())");
}
