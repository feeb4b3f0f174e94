//! Needs valgrind.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::support::{self, fixture, run};

fn valgrind() -> Command {
    Command::new("valgrind")
}

/// Counted by callgrind, inside `allocation_path` and all that it calls. A library that registers
/// nothing gets the system allocator too, by a longer way: std's functions call `System`, where
/// `#[global_allocator]` has it inlined.
#[test]
fn a_library_executes_no_more_instructions() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("instructions");
    fs::create_dir_all(&directory).unwrap();
    let host = support::cc("call.c", &directory.join("call"), &["-ldl".as_ref()]);
    let archive = fixture("every-program").command("check").build().jemalloc();
    let library = |features: &str| -> PathBuf {
        let library = directory.join(format!("{features}.so"));
        let out = fixture("zero-cost")
            .prebuilt_jemalloc(&archive)
            .args(["--release", "--lib"])
            .features(features)
            .rustc(["-Ccodegen-units=1", &format!("--emit=link={}", library.display())])
            .output();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        library
    };
    let count = |features| {
        // One path and one environment, because what their lengths make the loader allocate moves
        // the heap.
        fs::copy(library(features), directory.join("plugin.so")).unwrap();
        let mut valgrind = valgrind();
        valgrind.current_dir(&directory).env_clear().env("PATH", env::var_os("PATH").unwrap());
        valgrind.args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--toggle-collect=allocation_path",
        ]);
        let output = valgrind.arg(&host).args(["./plugin.so", "allocation_path", "10000"]).output();
        let output = output.expect("install valgrind");
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{log}");
        let collected = log.lines().find_map(|line| line.split_once("Collected : "));
        collected.expect("callgrind says").1.trim().parse::<u64>().unwrap()
    };
    let (with_macro, by_hand, without) = (count("macro"), count("by-hand"), count(""));
    let counts = format!("{with_macro} with the macro, {by_hand} by hand, {without} without");
    println!("{counts}");
    assert!(without > 1_000_000, "not the work of allocation_path: {counts}");
    assert!(with_macro.abs_diff(by_hand) * 1000 <= by_hand, "{counts}");
    assert!(with_macro <= without + without / 1000, "{counts}");
}

/// The system allocator is whoever provides `malloc`: the C library's counters say nothing of
/// another's.
#[test]
fn a_self_check_knows_a_malloc_that_somebody_has_replaced() {
    let built = fixture("uses-a-handle").args(["--bin", "wrapped_system"]).build();
    let program = built.file("wrapped_system");
    let preload = built.folder.join("preload.so");
    let preload = support::cc("preload.c", &preload, &["-shared".as_ref(), "-fPIC".as_ref()]);
    let first = |command: &mut Command| run(command).lines().next().unwrap().to_owned();
    let line = "system (global_allocator!(system)): Ok(())";
    assert_eq!(first(&mut Command::new(program)), line);
    assert_eq!(first(Command::new(program).env("LD_PRELOAD", preload)), line, "preloaded");
    assert_eq!(first(valgrind().args(["-q", "--error-exitcode=9"]).arg(program)), line);
}
