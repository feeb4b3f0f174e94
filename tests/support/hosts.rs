//! Programs that load a library, and what a library must not hold for them.

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

/// What a C program prints that loads the library, to which it is not linked, and frees its memory
/// with the function of this name.
pub fn in_c(built: &Built, library: &str, give_back: &str) -> String {
    let host = support::cc("host.c", &built.folder.join("host"), &["-ldl".as_ref()]);
    run(Command::new(host).arg(built.file(library)).arg(give_back))
}

/// The same in a C program and in CPython.
pub fn in_hosts(built: &Built, library: &str, give_back: &str) -> [String; 2] {
    let script = Path::new(support::ROOT).join("tests/hosts/host.py");
    let mut python = Command::new("python3");
    python.arg(script).arg(built.file(library)).arg(give_back);
    [in_c(built, library, give_back), run(&mut python)]
}

/// The C host loads the library twice, CPython once.
pub fn assert_hosts_print(outputs: [String; 2], line: &str) {
    let [c, python] = outputs;
    assert_eq!(c, format!("{line}\n{line}\ndone\n"));
    assert_eq!(python, format!("{line}\ndone\n"));
}
