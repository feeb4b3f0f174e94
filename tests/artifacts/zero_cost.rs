//! The macro costs nothing: the same machine code as without it, and no C compiler where jemalloc
//! is not used.
//!
//! Everything here is exact. What the crate adds to a build, `benches/build_cost.rs` says; how many
//! instructions a library executes, `tests/more`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget};

use crate::support::{self, fixture, run};

/// The test's own.
fn directory() -> PathBuf {
    let name = std::thread::current().name().unwrap().replace("::", "-");
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Builds the program of the fixture in release, and gives the path of the artifact and of its
/// object file.
fn build(features: &str) -> (PathBuf, PathBuf) {
    let directory = directory().join(features);
    fs::create_dir_all(&directory).unwrap();
    let (artifact, object) = (directory.join("artifact"), directory.join("object.o"));
    let emit = format!("--emit=link={},obj={}", artifact.display(), object.display());
    let jemalloc = fixture("every-program").command("check").build().jemalloc();
    let out = fixture("zero-cost")
        .prebuilt_jemalloc(&jemalloc)
        .args(["--release", "--bin", "zero_cost"])
        .features(features)
        // One unit is one object file, and lays the functions out in one order.
        .rustc(["-Ccodegen-units=1", &emit])
        .output();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    (artifact, object)
}

fn text(path: &Path) -> Vec<u8> {
    section(path, |name| name == ".text").0
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

/// In each of the macro's forms. A fallback that another target would take and `executable` are
/// among them.
#[test]
fn the_program_is_the_one_written_by_hand() {
    let (by_hand, _) = build("by-hand");
    let expected = (text(&by_hand), run(&mut Command::new(by_hand)));
    assert!(expected.0.len() > 300_000, "{} bytes do not hold jemalloc", expected.0.len());
    for form in ["macro", "executable", "fallback"] {
        let (program, _) = build(form);
        assert!(text(&program) == expected.0, "{form}: the .text sections differ");
        assert_eq!(run(&mut Command::new(program)), expected.1, "{form}");
    }
}

#[test]
fn an_allocator_in_jemallocs_place_is_the_one_written_by_hand() {
    let (by_hand, _) = build("own-by-hand");
    let (program, _) = build("custom");
    assert!(text(&program) == text(&by_hand), "the .text sections differ");
    assert_eq!(run(&mut Command::new(program)), run(&mut Command::new(by_hand)));
}

/// A program that names its static and prints it has more code, but not where it allocates.
#[test]
fn a_named_static_is_not_on_the_allocation_path() {
    let (program, named) = build("named");
    let (_, by_hand) = build("by-hand");
    let said = run(&mut Command::new(program));
    assert!(said.starts_with("jemalloc"), "{said}");

    let in_both = |function: &str| {
        let is_function = |name: &str| name.starts_with(".text.") && name.ends_with(function);
        (section(&by_hand, is_function), section(&named, is_function))
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

/// Builds every kind of artifact from nothing, with a recorder in place of every tool that compiles
/// C, and gives Cargo's complaint, if it has one, and the tools that were started.
fn c_tools_started(arguments: &[&str], rustflags: &str) -> (Option<String>, String) {
    let directory = directory();
    let _ = fs::remove_dir_all(&directory); // an earlier run's, whose tests failed
    let (shims, record) = (directory.join("shims"), directory.join("record"));
    fs::create_dir_all(&shims).unwrap();
    fs::write(&record, "").unwrap();
    let recorder = format!("#!/bin/sh\necho \"$0\" >> '{}'\nexit 1\n", record.display());

    let path = env::join_paths(
        [shims.clone()].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap())),
    );
    let mut build = fixture("every-program")
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
    for package in ["bin-and-cdylib", "libraries", "uses-a-dylib", "proc-macro-and-user"] {
        build = build.args(["--package", package]);
    }
    let output = build.output();
    let started = fs::read_to_string(&record).unwrap();
    fs::remove_dir_all(&directory).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    ((!output.status.success()).then_some(stderr), started)
}

fn which(program: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap();
    let found =
        env::split_paths(&path).map(|directory| directory.join(program)).find(|p| p.is_file());
    found.unwrap_or_else(|| panic!("{program} has to be installed: apt-get install gcc"))
}

#[test]
fn no_c_is_compiled_without_the_feature() {
    assert_eq!(c_tools_started(&["--no-default-features"], ""), (None, String::new()));
}

#[test]
fn no_c_is_compiled_under_the_cfg() {
    assert_eq!(c_tools_started(&[], r#"--cfg=alloc_switch="system""#), (None, String::new()));
}

/// The two tests above can fail: where jemalloc is built, the recorder sees it.
#[test]
fn the_recorder_sees_a_c_compiler() {
    let (complaint, started) = c_tools_started(&[], "");
    assert!(complaint.is_some() && started.contains("cc"), "started: {started:?}");
}
