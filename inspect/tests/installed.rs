//! Every program and library of this machine, against what `readelf`, `nm` and `ldd` say of it.
//! It takes minutes, so it is run by hand; it wants binutils, libc-bin and at least one program or
//! library with each of jemalloc, tcmalloc and mimalloc (Debian: redis-server, libjemalloc2,
//! libtcmalloc-minimal4, libmimalloc2.0):
//!
//! ```text
//! cargo test --release --package alloc-inspect --test installed -- --ignored --nocapture
//! ```

#![cfg(target_os = "linux")]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use alloc_inspect::{inspect_counted, inspect_path, Error, Format, Kind, Malloc, Report};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use walkdir::WalkDir;

fn say(command: &mut Command) -> String {
    command.env("LC_ALL", "C");
    let out = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}: is it installed?"));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// What binutils know of a file that this crate knows too.
#[derive(Debug, PartialEq)]
struct Facts {
    kind: Kind,
    needed: Vec<String>,
    static_tls: bool,
    imports_malloc: bool,
    own_malloc: bool,
    exports: BTreeSet<String>,
    /// By their symbols; of stripped files those that are exported.
    jemalloc: bool,
    mimalloc: bool,
    tcmalloc: bool,
}

const MALLOC: [&str; 14] = [
    "malloc",
    "calloc",
    "realloc",
    "free",
    "posix_memalign",
    "aligned_alloc",
    "memalign",
    "_Znwm",
    "_Znam",
    "_Znwj",
    "_Znaj",
    "_ZdlPv",
    "_ZdaPv",
    "_ZdlPvm",
];

fn binutils(path: &Path) -> Facts {
    let headers = say(Command::new("readelf").args(["-hdW"]).arg(path));
    let segments = say(Command::new("readelf").args(["-lW"]).arg(path));
    let inside = |line: &str| {
        let (start, end) = (line.find('[')?, line.rfind(']')?);
        Some(line[start + 1..end].to_owned())
    };
    let dynamic = |tag: &str| {
        let lines = headers.lines().filter(|line| line.contains(&format!("({tag})")));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let flag = |tag: &str, flag: &str| dynamic(tag).iter().any(|line| line.contains(flag));
    let kind = match headers.lines().find(|line| line.trim_start().starts_with("Type:")) {
        Some(line) if line.contains("REL ") => Kind::Object,
        Some(line) if line.contains("EXEC ") => Kind::Executable,
        _ if flag("FLAGS_1", "PIE") => Kind::Executable,
        _ if segments.contains("INTERP") && dynamic("SONAME").is_empty() => Kind::Executable,
        _ => Kind::SharedLibrary,
    };
    let mut facts = Facts {
        kind,
        needed: dynamic("NEEDED").iter().filter_map(|line| inside(line)).collect(),
        static_tls: flag("FLAGS", "STATIC_TLS"),
        imports_malloc: false,
        own_malloc: false,
        exports: BTreeSet::new(),
        jemalloc: false,
        mimalloc: false,
        tcmalloc: false,
    };
    for table in [&[][..], &["-D"]] {
        let symbols =
            say(Command::new("nm").args(table).args(["-P", "--without-symbol-versions"]).arg(path));
        for line in symbols.lines() {
            let mut columns = line.split(' ');
            let (Some(name), Some(kind)) = (columns.next(), columns.next()) else { continue };
            if matches!(kind, "U" | "w" | "v") {
                facts.imports_malloc |= MALLOC.contains(&name);
                continue;
            }
            facts.own_malloc |= name == "malloc";
            facts.jemalloc |=
                ["mallctlbymib", "_rjem_mallctlbymib", "je_mallctlbymib"].contains(&name);
            facts.mimalloc |= name == "mi_version";
            facts.tcmalloc |= name == "tc_version";
            if !table.is_empty()
                && (kind.chars().all(char::is_uppercase) || kind == "i" || kind == "u")
            {
                facts.exports.insert(name.to_owned());
            }
        }
    }
    facts
}

fn ours(report: &Report) -> Facts {
    let carries = |name: &str| {
        report.allocators.iter().any(|c| c.library.is_none() && c.allocator.name() == name)
    };
    Facts {
        kind: report.kind,
        needed: report.needed.iter().map(|name| name.to_string()).collect(),
        static_tls: report.static_tls,
        imports_malloc: matches!(report.malloc, Malloc::Imported | Malloc::ImportedBesides),
        own_malloc: report.malloc == Malloc::Own,
        exports: report.exports.iter().cloned().collect(),
        jemalloc: carries("jemalloc"),
        mimalloc: carries("mimalloc"),
        tcmalloc: carries("tcmalloc"),
    }
}

#[test]
#[ignore = "takes minutes, and wants packages installed"]
fn against_binutils() {
    let home = PathBuf::from(env::var_os("HOME").expect("a home"));
    let folders =
        ["/usr/bin".into(), "/usr/sbin".into(), "/usr/lib".into(), home.join(".cargo/bin")];
    let files: Vec<PathBuf> = folders
        .iter()
        .flat_map(WalkDir::new)
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .collect();
    let looked: Vec<(PathBuf, Result<Vec<Report>, Error>)> =
        files.par_iter().map(|path| (path.clone(), inspect_path(path))).collect();

    let mut wrong = Vec::new();
    let mut counts = BTreeMap::<String, usize>::new();
    let mut binaries = Vec::new();
    for (path, result) in looked {
        match result {
            Err(Error::NotBinary | Error::NothingToJudge(_)) => {
                *counts.entry("no binary".into()).or_default() += 1
            }
            Err(error) => {
                *counts.entry(error.to_string()).or_default() += 1;
                println!("{}: {error}", path.display());
            }
            Ok(reports) => {
                let report = reports.into_iter().next().unwrap();
                let linked = matches!(report.kind, Kind::Executable | Kind::SharedLibrary);
                if report.format == Format::Elf && linked {
                    binaries.push((path, report));
                } else {
                    *counts.entry(format!("{:?} {:?}", report.format, report.kind)).or_default() +=
                        1;
                }
            }
        }
    }
    let compared: Vec<_> = binaries
        .par_iter()
        .map(|(path, report)| {
            let (mut theirs, ours) = (binutils(path), ours(report));
            // What a file defines is its own, whatever it imports besides.
            if theirs.own_malloc {
                theirs.imports_malloc = false;
            }
            // Of a stripped file nm knows less.
            if !has_symbols(path) {
                theirs.jemalloc |= ours.jemalloc;
                theirs.mimalloc |= ours.mimalloc;
                theirs.tcmalloc |= ours.tcmalloc;
            }
            (theirs == ours).then_some(()).ok_or_else(|| {
                format!("{}:\n  binutils {theirs:?}\n  ours     {ours:?}", path.display())
            })
        })
        .collect();
    wrong.extend(compared.into_iter().filter_map(Result::err));

    // Half of what the budget allows is enough for all of them.
    let costs: Vec<_> = binaries
        .par_iter()
        .map(|(path, _)| {
            let bytes = fs::read(path).unwrap();
            (inspect_counted(&bytes).1 as f64 / bytes.len() as f64, path)
        })
        .collect();
    let (most, dearest) = costs.iter().max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
    println!("at most {most:.1} looks at each byte, in {}", dearest.display());
    assert!(*most < 8.0, "{most}: {}", dearest.display());

    // The loader's view: a library of a library is not the file's own.
    let mut found = BTreeMap::<&str, usize>::new();
    for (path, report) in &binaries {
        for carried in report.chosen() {
            *found.entry(carried.allocator.name()).or_default() += 1;
            println!("{}: {report}", path.display());
        }
        if report.has_jemalloc() && report.shared_jemalloc().is_some() {
            let loaded = say(Command::new("ldd").arg(path));
            if !loaded.contains("libjemalloc.so") {
                wrong.push(format!("{}: ldd sees no jemalloc", path.display()));
            }
        }
    }
    println!(
        "{} files, {} programs and libraries; besides {counts:?}",
        files.len(),
        binaries.len()
    );
    println!("allocators: {found:?}");
    assert!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n"));
    for allocator in ["jemalloc", "mimalloc", "tcmalloc"] {
        assert!(found.contains_key(allocator), "install something with {allocator}");
    }
}

fn has_symbols(path: &Path) -> bool {
    say(Command::new("readelf").args(["-SW"]).arg(path)).contains(" .symtab ")
}
