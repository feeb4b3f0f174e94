//! Programs that load a library, and what a library must not hold for them.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::inspect::{self, Kind, Report};
use crate::support::{self, run, Built};

pub fn report(file: &Path) -> Report {
    inspect::inspect(&fs::read(file).unwrap()).unwrap()
}

/// No jemalloc by any evidence, nothing that `dlopen` trips over, and of exports just what the
/// author wrote.
pub fn assert_clean(file: &Path, exports: &[&str]) {
    let report = report(file);
    assert_eq!(report.kind, Kind::SharedLibrary);
    assert!(!report.has_jemalloc(), "{report}");
    assert_eq!(report.jemalloc_symbols, [""; 0], "{report}");
    assert!(!report.static_tls, "{report}");
    let mut found = report.exports;
    found.sort();
    assert_eq!(found, exports);
}

pub const PLUGIN: [&str; 3] = ["plugin_free", "plugin_report", "plugin_work"];

/// Loads a plug-in in a C program and in CPython, neither linked to it, and returns what each
/// printed.
pub fn in_hosts(built: &Built, library: &str, give_back: &str) -> [String; 2] {
    let library = built.file(library);
    let host = support::cc("host.c", &built.folder.join("host"), &[OsStr::new("-ldl")]);
    let script = Path::new(support::ROOT).join("tests/hosts/host.py");
    [
        run(Command::new(host).arg(library).arg(give_back)),
        run(Command::new("python3").arg(script).arg(library).arg(give_back)),
    ]
}

/// The C host loads the library twice, CPython once.
pub fn assert_hosts_print(outputs: [String; 2], line: &str) {
    let [c, python] = outputs;
    assert_eq!(c, format!("{line}\n{line}\ndone\n"));
    assert_eq!(python, format!("{line}\ndone\n"));
}
