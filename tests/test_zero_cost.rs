//! The switch costs nothing: the same machine code as without it, and no C compiler where jemalloc
//! is not used.
//!
//! Everything here is exact or counted in instructions. `benches/build_cost.rs` states what the
//! crate adds to a build.
#![cfg(target_os = "linux")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget};
use support::{fixture, run};

/// The test's own.
fn directory() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(std::thread::current().name().unwrap())
}

/// Builds one target of the fixture in release, and gives the path of the artifact and of its
/// object file.
fn build(target: &[&str], features: &str) -> (PathBuf, PathBuf) {
    let directory = directory().join(format!("{}-{features}", target.last().unwrap()));
    fs::create_dir_all(&directory).unwrap();
    let (artifact, object) = (directory.join("artifact"), directory.join("object.o"));
    let emit = format!("--emit=link={},obj={}", artifact.display(), object.display());
    let jemalloc = fixture("app").build().jemalloc();
    let out = fixture("zero-cost")
        .prebuilt_jemalloc(&jemalloc)
        .args(["--release"])
        .args(target.iter().copied())
        .features(features)
        // One unit is one object file, and lays the functions out in one order.
        .rustc(["-Ccodegen-units=1", &emit])
        .output();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    (artifact, object)
}

/// The section's bytes, and what the linker has to fill in: where, how, and the symbol's name
/// without the hashes that differ from crate to crate.
fn section(path: &Path, named: impl Fn(&str) -> bool) -> (Vec<u8>, Vec<String>) {
    let bytes = fs::read(path).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let mut found = file.sections().filter(|s| named(s.name().unwrap()));
    let section = found.next().unwrap_or_else(|| panic!("no such section in {}", path.display()));
    assert!(found.next().is_none(), "two such sections in {}", path.display());
    let relocations = section.relocations().map(|(offset, relocation)| {
        let target = match relocation.target() {
            RelocationTarget::Symbol(index) => {
                let symbol = file.symbol_by_index(index).unwrap();
                let section = symbol
                    .section_index()
                    .map(|i| file.section_by_index(i).unwrap().name().unwrap());
                without_hash(
                    Some(symbol.name().unwrap()).filter(|n| !n.is_empty()).or(section).unwrap(),
                )
            }
            other => format!("{other:?}"),
        };
        format!("{offset:#x} {:?} {target} {:+}", relocation.flags(), relocation.addend())
    });
    (section.data().unwrap().to_vec(), relocations.collect())
}

/// `_ZN…17h0123456789abcdefE` without its last part, and every anonymous constant by one name: the
/// compiler numbers them.
fn without_hash(symbol: &str) -> String {
    if let Some(at) = symbol.find(".Lanon.").or_else(|| symbol.find(".LCPI")) {
        return format!("{}constant", &symbol[..at]);
    }
    match symbol.rfind("17h") {
        Some(at) if symbol.ends_with('E') => symbol[..at].to_owned(),
        _ => symbol.to_owned(),
    }
}

#[test]
fn the_program_is_the_one_written_by_hand() {
    let (with_macro, _) = build(&["--bin", "zero_cost"], "macro");
    let (by_hand, _) = build(&["--bin", "zero_cost"], "by-hand");
    let text = |path| section(path, |name| name == ".text").0;
    assert!(
        text(&with_macro).len() > 300_000,
        "{} bytes do not hold jemalloc",
        text(&with_macro).len()
    );
    assert!(text(&with_macro) == text(&by_hand), "the .text sections differ");
    assert_eq!(run(&mut Command::new(with_macro)), run(&mut Command::new(by_hand)));
}

/// A program that names the handle, prints it and asks it to check itself has more code, but not
/// where it allocates.
#[test]
fn the_handle_is_not_on_the_allocation_path() {
    let (program, with_handle) = build(&["--bin", "zero_cost"], "handle");
    let (_, by_hand) = build(&["--bin", "zero_cost"], "by-hand");
    let said = run(&mut Command::new(program));
    assert!(said.starts_with("jemalloc"), "{said}");

    let in_both = |function: &str| {
        let is_function = |name: &str| name.starts_with(".text.") && name.ends_with(function);
        (section(&by_hand, is_function), section(&with_handle, is_function))
    };
    for function in ["__rust_alloc", "__rust_alloc_zeroed", "__rust_dealloc", "__rust_realloc"] {
        let (expected, actual) = in_both(function);
        assert!(expected.0 == actual.0, "{function}: the instructions differ");
        let differing: Vec<_> = expected.1.iter().zip(&actual.1).filter(|(e, a)| e != a).collect();
        assert!(differing.is_empty(), "{function}: what it refers to differs: {differing:?}");
        assert_eq!(expected.1.len(), actual.1.len(), "{function}: what it refers to differs");
        assert!(actual.1.iter().any(|r| r.contains("_rjem_")), "{function} does not call jemalloc");
    }

    // The work that calls them is the same code too. But the compiler may put a block that ends in
    // a panic elsewhere, because what else the program has makes it more or less likely.
    let (expected, actual) = in_both("allocation_path");
    assert_eq!(expected.0.len(), actual.0.len(), "allocation_path: the code differs in size");
    let anywhere = |references: Vec<String>| {
        let mut references: Vec<_> =
            references.iter().map(|r| r.split_once(' ').unwrap().1.to_owned()).collect();
        references.sort();
        references
    };
    let (expected, actual) = (anywhere(expected.1), anywhere(actual.1));
    assert_eq!(expected, actual, "allocation_path: what it refers to differs");
    assert!(actual.iter().any(|r| r.contains("_rjem_")), "allocation_path does not call jemalloc");
}

/// Counted by callgrind, inside `allocation_path` and all that it calls. A library that registers
/// nothing gets the system allocator too, by a longer way: std's functions call `System`, where
/// `#[global_allocator]` has it inlined.
#[test]
fn a_library_executes_no_more_instructions() {
    fs::create_dir_all(directory()).unwrap();
    let host = support::cc("call.c", &directory().join("call"), &["-ldl".as_ref()]);
    let count = |features| {
        let (library, _) = build(&["--lib"], features);
        // One path and one environment, because what their lengths make the loader allocate moves
        // the heap.
        fs::copy(library, directory().join("plugin.so")).unwrap();
        let mut valgrind = Command::new("valgrind");
        valgrind.current_dir(directory()).env_clear().env("PATH", env::var_os("PATH").unwrap());
        valgrind.args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--toggle-collect=allocation_path",
        ]);
        let output = valgrind.arg(&host).args(["./plugin.so", "allocation_path", "10000"]).output();
        let output = output.expect("valgrind has to be installed: apt-get install valgrind");
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{log}");
        let collected =
            log.lines().find_map(|line| line.split_once("Collected : ")).expect("callgrind says").1;
        collected.trim().parse::<u64>().unwrap()
    };
    let (with_macro, by_hand, without) = (count("macro"), count("by-hand"), count(""));
    let counts = format!(
        "{with_macro} instructions with the macro, {by_hand} by hand, {without} without either"
    );
    println!("{counts}");
    assert!(without > 1_000_000, "not the work of allocation_path: {counts}");
    assert!(with_macro.abs_diff(by_hand) * 1000 <= by_hand, "{counts}");
    assert!(with_macro <= without + without / 1000, "{counts}");
}

/// Builds every kind of artifact from nothing, with a recorder in place of every tool that compiles
/// C, and gives whether that went well and the tools that were started.
fn c_tools_started(arguments: &[&str], rustflags: &str) -> (bool, String) {
    let directory = directory();
    let _ = fs::remove_dir_all(&directory); // an earlier run's, whose tests failed
    let (shims, record) = (directory.join("shims"), directory.join("record"));
    fs::create_dir_all(&shims).unwrap();
    fs::write(&record, "").unwrap();
    let recorder = format!("#!/bin/sh\necho \"$0\" >> '{}'\nexit 1\n", record.display());

    let path = env::join_paths(
        [shims.clone()].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap())),
    );
    let mut build = fixture("app")
        .args(["--target-dir", directory.join("target").to_str().unwrap()])
        .args(arguments.iter().copied())
        // rustc itself needs a linker, for any program
        .rustflags(&format!("-Clinker={} {rustflags}", which("cc").display()))
        .env("PATH", path.unwrap().to_str().unwrap());
    for tool in
        ["cc", "gcc", "clang", "c++", "g++", "clang++", "ar", "ranlib", "make", "gmake", "cmake"]
    {
        let shim = shims.join(tool);
        support::script(&shim, &recorder);
    }
    for (variable, tool) in
        [("CC", "cc"), ("CXX", "c++"), ("AR", "ar"), ("RANLIB", "ranlib"), ("MAKE", "make")]
    {
        build = build.env(variable, shims.join(tool).to_str().unwrap());
    }
    for package in ["plugin", "archive", "both", "shared-user", "derive-user", "wrapper"] {
        build = build.args(["--package", &format!("fixture-{package}")]);
    }
    let output = build.output();
    let started = fs::read_to_string(&record).unwrap();
    fs::remove_dir_all(&directory).unwrap();
    (output.status.success(), started)
}

fn which(program: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap();
    let found =
        env::split_paths(&path).map(|directory| directory.join(program)).find(|p| p.is_file());
    found.unwrap_or_else(|| panic!("{program} has to be installed: apt-get install gcc"))
}

#[test]
fn no_c_is_compiled_without_the_feature() {
    assert_eq!(c_tools_started(&["--no-default-features"], ""), (true, String::new()));
}

#[test]
fn no_c_is_compiled_under_the_cfg() {
    assert_eq!(c_tools_started(&[], r#"--cfg=alloc_switch="system""#), (true, String::new()));
}

/// The two tests above can fail: where jemalloc is built, the recorder sees it.
#[test]
fn the_recorder_sees_a_c_compiler() {
    let (built, started) = c_tools_started(&[], "");
    assert!(!built && started.contains("cc"), "built: {built}, started: {started:?}");
}
