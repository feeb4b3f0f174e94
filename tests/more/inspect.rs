//! What `alloc-inspect` says of what this crate makes: programs, libraries and archives, as Cargo
//! and `cc` leave them. The rest of its tests are in inspect/tests.

use std::process::Command;

use alloc_inspect::{Format, Kind};

use crate::hosts::report;
use crate::support::{self, cc, fixture, run};

const NATIVE: Format = if cfg!(target_vendor = "apple") { Format::MachO } else { Format::Elf };

#[test]
fn a_program_on_jemalloc_says_the_same_when_it_is_stripped() {
    let built = fixture("every-program").args(["--bin", "every-program"]).build();
    let file = built.file("every-program");
    let whole = report(file);
    assert_eq!((whole.format, whole.kind), (NATIVE, Kind::Executable));
    let line = support::jemalloc("executable artifact");
    let jemalloc = whole.jemalloc.as_ref().expect("a program carries jemalloc");
    let version = jemalloc.version.as_deref().unwrap();
    assert!(line.contains(version) && jemalloc.prefixed, "{whole}");
    let symbols = &whole.jemalloc_symbols;
    assert!(symbols.iter().any(|name| name.ends_with("_rjem_malloc")), "{symbols:?}");
    assert_eq!(whole.can_be_dlopened(), None);

    let stripped = built.folder.join("stripped");
    run(Command::new("strip").arg("-o").arg(&stripped).arg(file));
    let stripped = report(&stripped);
    assert_eq!(stripped.jemalloc_symbols, [""; 0]);
    assert_eq!(stripped.to_string(), whole.to_string());
    for report in [&whole, &stripped] {
        let decisions: Vec<_> = report.decisions.iter().map(|d| &*d.text).collect();
        assert_eq!(decisions, [&*line]);
    }
}

#[test]
fn a_cdylib_on_the_system_allocator_can_be_dlopened() {
    let built = fixture("libraries").args(["--example", "says_nothing"]).build();
    let report = report(built.file("libsays_nothing.so"));
    assert_eq!((report.format, report.kind), (NATIVE, Kind::SharedLibrary));
    assert_eq!((report.jemalloc.as_ref(), report.static_tls), (None, false));
    assert!(report.to_string().ends_with(" shared library, system, can be dlopened"), "{report}");
}

#[test]
fn an_archive_carries_jemalloc_or_does_not() {
    let built = fixture("libraries").args(["--example", "archive_without_a_macro"]).build();
    let with = report(&fixture("every-program").command("check").build().jemalloc());
    assert_eq!((with.format, with.kind), (NATIVE, Kind::Archive));
    assert!(with.jemalloc.as_ref().is_some_and(|jemalloc| jemalloc.prefixed), "{with}");
    let without = report(built.file("libarchive_without_a_macro.a"));
    assert_eq!((without.kind, without.has_jemalloc()), (Kind::Archive, false));
    assert!(without.to_string().ends_with(" archive, system"), "{without}");
}

/// jemalloc in a library as alloc-switch refuses to build it.
#[test]
fn a_library_with_static_tls_cannot_be_dlopened() {
    let built = fixture("every-program").command("check").build();
    let archive = built.jemalloc();
    std::fs::create_dir_all(&built.folder).unwrap();
    let library = built.folder.join("libcarrier.so");
    let whole = ["-Wl,--whole-archive".as_ref(), archive.as_os_str()];
    let rest = ["-Wl,--no-whole-archive", "-lpthread", "-ldl", "-lm"].map(AsRef::as_ref);
    let shared = ["-shared", "-fPIC"].map(AsRef::as_ref);
    cc("empty.c", &library, &[&shared[..], &whole, &rest].concat());
    let host = cc("host.c", &built.folder.join("host"), &["-ldl".as_ref()]);

    let out = Command::new(host).arg(&library).arg("free").output().unwrap();
    let out = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.contains("cannot allocate memory in static TLS block"), "{out}");
    let report = report(&library);
    assert_eq!((report.kind, report.can_be_dlopened()), (Kind::SharedLibrary, Some(false)));
    assert!(report.static_tls && report.has_jemalloc(), "{report}");
}
