//! Programs that load a library, and what a library must not hold for them.

#![allow(dead_code)] // each test program uses its part

use std::fs;
use std::path::Path;
use std::process::Command;

use alloc_inspect::{Kind, Report};

use crate::support::{self, Built};

pub fn report(file: &Path) -> Report {
    alloc_inspect::inspect(&fs::read(file).unwrap()).unwrap()
}

/// Not a trace of jemalloc.
#[track_caller]
pub fn assert_no_jemalloc(file: &Path) {
    let report = report(file);
    assert!(!report.has_jemalloc(), "{report}");
    assert_eq!(report.jemalloc_symbols, [""; 0], "{report}");
}

pub const PLUGIN: [&str; 3] = ["plugin_free", "plugin_report", "plugin_work"];

/// A library without jemalloc, without what `dlopen` trips over, and with just those exports that
/// the author wrote.
#[track_caller]
pub fn assert_clean(file: &Path) {
    assert_no_jemalloc(file);
    let report = report(file);
    assert_eq!(report.kind, Kind::SharedLibrary);
    assert!(!report.static_tls, "{report}");
    let mut exports = report.exports;
    exports.sort();
    assert_eq!(exports, PLUGIN);
}

/// What a C program prints that loads the library twice, to which it is not linked, and frees its
/// memory with the function of this name.
pub fn in_c(built: &Built, library: &str, give_back: &str) -> String {
    let host = support::cc("host.c", &built.folder.join("host"), &["-ldl".as_ref()]);
    let out = Command::new(host).arg(built.file(library)).arg(give_back).output().unwrap();
    String::from_utf8(out.stdout).unwrap()
}

#[track_caller]
pub fn assert_c_prints(built: &Built, library: &str, give_back: &str, line: &str) {
    assert_eq!(in_c(built, library, give_back), format!("{line}\n{line}\ndone\n"));
}
