//! The package `inspect` against what this crate makes of programs, libraries and archives: built
//! by Cargo, stripped, linked by `cc`; Mach-O and PE are put together here around the read-only
//! data of a real program. The tests that need no jemalloc are its own.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::support::{self, fixture, run, Built};
use alloc_inspect::{inspect, inspect_all, Format, Kind, Report, ENOUGH, ENVIRONMENT, MESSAGES};
use object::{Object, ObjectSection};

/// The program on jemalloc that most tests look at.
fn app() -> &'static Built {
    static APP: OnceLock<Built> = OnceLock::new();
    APP.get_or_init(|| fixture("every-program").args(["--bin", "every-program"]).build())
}

fn plugin() -> &'static Built {
    static PLUGIN: OnceLock<Built> = OnceLock::new();
    PLUGIN.get_or_init(|| fixture("libraries").args(["--example", "says_nothing"]).build())
}

/// A folder for what one test writes.
fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("inspect-{test}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn look(path: &Path) -> Report {
    inspect(&fs::read(path).unwrap()).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn strip(path: &Path, folder: &Path) -> PathBuf {
    let stripped = folder.join(path.file_name().unwrap()).with_extension("stripped");
    run(Command::new("strip").arg("-o").arg(&stripped).arg(path));
    stripped
}

fn cc<'a>(
    folder: &Path,
    name: &str,
    source: &str,
    args: impl IntoIterator<Item = &'a str>,
) -> PathBuf {
    let (file, out) = (folder.join(name).with_extension("c"), folder.join(name));
    fs::write(&file, source).unwrap();
    run(Command::new("cc").arg("-o").arg(&out).arg(&file).args(args));
    out
}

fn jemalloc_version() -> String {
    support::jemalloc("").split(' ').nth(1).unwrap().to_owned()
}

const NATIVE: Format = if cfg!(target_vendor = "apple") { Format::MachO } else { Format::Elf };

#[test]
fn a_program_on_jemalloc_and_the_same_stripped() {
    let folder = folder("program");
    let whole = look(app().file("every-program"));
    assert_eq!((whole.format, whole.kind), (NATIVE, Kind::Executable));
    let jemalloc = whole.jemalloc.as_ref().expect("a program carries jemalloc");
    assert_eq!(
        (jemalloc.version.as_deref(), jemalloc.prefixed),
        (Some(&*jemalloc_version()), true)
    );
    assert!(
        whole.jemalloc_symbols.iter().any(|name| name.ends_with("_rjem_malloc")),
        "{:?}",
        whole.jemalloc_symbols
    );
    assert_eq!(whole.can_be_dlopened(), None);

    let stripped = strip(app().file("every-program"), &folder);
    let stripped = look(&stripped);
    assert_eq!(stripped.jemalloc_symbols, [""; 0]);
    assert_eq!(stripped.to_string(), whole.to_string());
    // The note with the decision outlives stripping.
    if cfg!(target_os = "linux") {
        let decided = support::jemalloc("executable artifact");
        for report in [&whole, &stripped] {
            assert_eq!(report.decisions.len(), 1);
            assert_eq!(report.decisions[0].text, decided);
        }
    }
    assert!(
        whole
            .to_string()
            .ends_with(&format!(" executable, jemalloc {} prefixed", jemalloc_version())),
        "{whole}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_without_section_headers() {
    let mut bytes = fs::read(strip(app().file("every-program"), &folder("sections"))).unwrap();
    let before = inspect(&bytes).unwrap();
    let (table, counts) =
        if bytes[4] == 2 { (0x28..0x30, 0x3a..0x40) } else { (0x20..0x24, 0x2e..0x34) };
    bytes[table].fill(0);
    bytes[counts].fill(0);
    let after = inspect(&bytes).unwrap();
    assert_eq!(object::File::parse(&*bytes).unwrap().sections().count(), 0);
    assert_eq!(
        (after.jemalloc, after.kind, after.needed),
        (before.jemalloc, before.kind, before.needed)
    );
}

#[test]
fn a_cdylib_on_the_system_allocator() {
    let library = plugin()
        .files
        .iter()
        .find(|f| f.extension().is_some_and(|e| e == "so" || e == "dylib"))
        .unwrap();
    let report = look(library);
    assert_eq!((report.format, report.kind), (NATIVE, Kind::SharedLibrary));
    assert_eq!((report.jemalloc.as_ref(), report.static_tls), (None, false));
    assert_eq!(report.jemalloc_symbols, [""; 0]);
    assert!(
        report.exports.iter().any(|name| name.trim_start_matches('_') == "plugin_report"),
        "{:?}",
        report.exports
    );
    assert!(report.to_string().ends_with(" shared library, system, can be dlopened"), "{report}");
}

#[test]
fn archives_with_and_without() {
    let with = look(app().jemalloc.as_ref().expect("jemalloc was built"));
    assert_eq!((with.format, with.kind), (NATIVE, Kind::Archive));
    assert_eq!(
        with.jemalloc.as_ref().map(|j| (j.version.as_deref(), j.prefixed)),
        Some((Some(&*jemalloc_version()), true))
    );
    assert!(
        with.to_string().ends_with(&format!(" archive, jemalloc {} prefixed", jemalloc_version())),
        "{with}"
    );

    let built = fixture("libraries").args(["--example", "archive_without_a_macro"]).build();
    let without = look(built.file("libarchive_without_a_macro.a"));
    assert_eq!(
        (without.kind, without.jemalloc.as_ref(), without.jemalloc_symbols.len()),
        (Kind::Archive, None, 0)
    );
    assert!(without.to_string().ends_with(" archive, system"), "{without}");
}

/// jemalloc in a library as alloc-switch refuses to build it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_library_that_cannot_be_dlopened() {
    let folder = folder("static-tls");
    let archive = app().jemalloc.as_ref().unwrap().to_str().unwrap();
    let args = [
        "-shared",
        "-Wl,--whole-archive",
        archive,
        "-Wl,--no-whole-archive",
        "-lpthread",
        "-ldl",
        "-lm",
    ];
    let library = cc(&folder, "libcarrier.so", "int carrier;", args);
    let host = support::cc("host.c", &folder.join("host"), &["-ldl".as_ref() as &OsStr]);

    let out = Command::new(host).arg(&library).arg("free").output().unwrap();
    let out = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.contains("cannot allocate memory in static TLS block"), "{out}");
    let report = look(&library);
    assert_eq!(
        (report.kind, report.static_tls, report.can_be_dlopened()),
        (Kind::SharedLibrary, true, Some(false))
    );
    assert!(report.jemalloc.is_some(), "{report}");
    let end = format!("cannot in general be dlopened ({:#x} bytes of static TLS)", report.tls_size);
    assert!(report.tls_size >= 0x700 && report.to_string().ends_with(&end), "{report}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_that_needs_a_shared_jemalloc() {
    let folder = folder("shared");
    cc(
        &folder,
        "libjemalloc.so.2",
        "int shared;",
        ["-shared", "-fPIC", "-Wl,-soname,libjemalloc.so.2"],
    );
    let library = folder.join("libjemalloc.so.2");
    let program = cc(
        &folder,
        "program",
        "int main(void) { return 0; }",
        ["-Wl,--no-as-needed", library.to_str().unwrap()],
    );
    let report = look(&program);
    assert_eq!(
        (report.jemalloc.as_ref(), report.shared_jemalloc()),
        (None, Some("libjemalloc.so.2"))
    );
    assert_eq!(report.to_string(), "ELF executable, jemalloc from libjemalloc.so.2");
    assert_eq!(alloc_inspect(&["--expect", "jemalloc", program.to_str().unwrap()]).0, Some(0));
    assert_eq!(alloc_inspect(&["--expect", "system", program.to_str().unwrap()]).0, Some(1));
}

#[test]
fn who_speaks_of_jemalloc_is_no_carrier() {
    let folder = folder("mentions");
    // The inspector names every marker.
    let own = fs::read(program_path()).unwrap();
    for marker in MESSAGES.iter().chain([&ENVIRONMENT]) {
        assert!(
            own.windows(marker.len()).any(|window| window == marker.as_bytes()),
            "{marker} is not in the program"
        );
    }
    for program in [program_path().to_owned(), strip(program_path(), &folder)] {
        assert_eq!(look(&program).jemalloc, None, "{}", program.display());
    }

    // `strings` as C strings of their own, as jemalloc has them.
    let c = |name: &str, strings: &[String]| {
        let lines: String = strings.iter().map(|s| format!("    puts({s:?});\n")).collect();
        let source = format!("#include <stdio.h>\nint main(void) {{\n{lines}    return 0;\n}}\n");
        // `puts` of a constant that ends in a newline stays as it is
        look(&cc(&folder, name, &source, ["-O1", "-fno-builtin"])).jemalloc
    };
    let lines: Vec<String> = MESSAGES.iter().map(|message| format!("{message}\n")).collect();
    let others = [
        "MALLOC_CONF",
        "_RJEM_MALLOC_CONF",
        "arenas.lookup",
        "opt.narenas",
        "5.3.1-0-g81034ce1f1373e37dc865038e1bc8eeecf559ce8",
    ]
    .map(str::to_owned);
    // one page of a manual
    assert_eq!(c("manual", &[[&lines[..], &others[..]].concat().join(" and ")]), None);
    // everything that a program might want to set, read or look for in a log
    assert_eq!(c("few", &[&lines[..3], &others[..]].concat()), None);
    assert_eq!(c("no_newlines", &[&MESSAGES.map(str::to_owned)[..], &others[..]].concat()), None);
    assert_eq!(c("no_variable", &[&lines[..], &others[2..]].concat()), None);
    // The search would have found them.
    let forged = c("forged", &[&lines[..ENOUGH], &others[..]].concat())
        .expect("all that the search asks for");
    assert_eq!((forged.version.as_deref(), forged.prefixed), (Some("5.3.1"), true));
}

#[test]
fn mach_o_and_pe() {
    let (with, without) = (jemalloc_strings(), vec![0; 4096]);
    for (data, carries) in [(&with, true), (&without, false)] {
        for (dll, kind) in [(false, Kind::Executable), (true, Kind::SharedLibrary)] {
            for (bytes, format) in
                [(pe(data, dll), Format::Pe), (mach_o(data, dll, ARM64, None), Format::MachO)]
            {
                let report = inspect(&bytes).unwrap();
                assert_eq!(
                    (report.format, report.kind, report.jemalloc.is_some()),
                    (format, kind, carries),
                    "{report}"
                );
                assert_eq!(report.can_be_dlopened(), dll.then_some(true));
                if let Some(jemalloc) = report.jemalloc {
                    assert_eq!(
                        (jemalloc.version, jemalloc.prefixed),
                        (Some(jemalloc_version()), true)
                    );
                }
            }
        }
    }
    let shared =
        inspect(&mach_o(&without, false, ARM64, Some("/opt/lib/libjemalloc.2.dylib"))).unwrap();
    assert_eq!(shared.to_string(), "Mach-O executable, jemalloc from /opt/lib/libjemalloc.2.dylib");
}

#[test]
fn universal_files() {
    let folder = folder("universal");
    let slices =
        [mach_o(&jemalloc_strings(), false, ARM64, None), mach_o(&[0; 64], false, X86_64, None)];
    let bytes = universal(&[(ARM64, &slices[0]), (X86_64, &slices[1])]);
    assert_eq!(
        inspect(&bytes).unwrap_err().to_string(),
        "a universal file with code for 2 architectures"
    );
    let reports = inspect_all(&bytes).unwrap();
    assert_eq!(reports.iter().map(|r| r.jemalloc.is_some()).collect::<Vec<_>>(), [true, false]);

    let path = folder.join("universal");
    fs::write(&path, &bytes).unwrap();
    let path = path.to_str().unwrap();
    let jemalloc =
        format!("{path} (aarch64): Mach-O executable, jemalloc {} prefixed", jemalloc_version());
    let unknown = "unknown (none of the known ones, and no malloc)";
    let system = format!("{path} (x86_64): Mach-O executable, {unknown}");
    assert_eq!(alloc_inspect(&[path]), (Some(0), format!("{jemalloc}\n{system}\n"), String::new()));
    let system = format!("{system}, but jemalloc was expected");
    assert_eq!(
        alloc_inspect(&["--expect", "jemalloc", path]),
        (Some(1), format!("{jemalloc}\n{system}\n"), String::new())
    );
}

#[test]
fn expectations_and_exit_status() {
    let (app, plugin) = (
        app().file("every-program"),
        plugin().file(&format!("libsays_nothing.{}", dll_extension())),
    );
    let (app, plugin) = (app.to_str().unwrap(), plugin.to_str().unwrap());
    let (app_line, plugin_line) =
        (format!("{app}: {}", look(app.as_ref())), format!("{plugin}: {}", look(plugin.as_ref())));

    let none = String::new();
    assert_eq!(
        alloc_inspect(&[app, plugin]),
        (Some(0), format!("{app_line}\n{plugin_line}\n"), none.clone())
    );
    assert_eq!(
        alloc_inspect(&["--expect", "jemalloc", app]),
        (Some(0), format!("{app_line}\n"), none.clone())
    );
    assert_eq!(
        alloc_inspect(&["--expect=system", plugin]),
        (Some(0), format!("{plugin_line}\n"), none.clone())
    );
    let unmet = format!("{app_line}\n{plugin_line}, but jemalloc was expected\n");
    assert_eq!(
        alloc_inspect(&[app, plugin, "--expect", "jemalloc"]),
        (Some(1), unmet, none.clone())
    );
    let unmet = format!("{app_line}, but the system allocator was expected\n{plugin_line}\n");
    assert_eq!(
        alloc_inspect(&["--expect", "system", "--", app, plugin]),
        (Some(1), unmet, none.clone())
    );

    // An unreadable path never hides the others.
    let (status, out, err) = alloc_inspect(&["--expect", "jemalloc", "no-such-file", app]);
    assert_eq!((status, out), (Some(1), format!("{app_line}\n")));
    assert!(err.starts_with("no-such-file: ") && err.lines().count() == 1, "{err}");

    for wrong in [
        &[][..],
        &["--expect", "system"],
        &["--expect"],
        &["--expect", "ptmalloc", app],
        &["--quiet", app],
    ] {
        let (status, out, err) = alloc_inspect(wrong);
        assert_eq!((status, out.as_str()), (Some(2), ""), "{wrong:?}");
        assert!(err.starts_with("error: "), "{wrong:?}: {err}");
    }
}

#[test]
fn garbage() {
    let folder = folder("garbage");
    let sentence = "not a program, library, object or archive in ELF, Mach-O, PE or WebAssembly";
    for bytes in [
        &b""[..],
        b"#!/bin/sh\necho jemalloc\n",
        b"\x7fELF",
        b"MZ and nothing more",
        &[0; 4096],
        &[0xff; 4096],
    ] {
        assert_eq!(inspect(bytes).unwrap_err().to_string(), sentence);
    }
    assert!(inspect(b"!<arch>\nno member header")
        .unwrap_err()
        .to_string()
        .starts_with("a damaged file: "));
    let empty_archive = folder.join("text.a");
    fs::write(folder.join("text"), "jemalloc\n").unwrap();
    run(Command::new("ar").arg("rc").arg(&empty_archive).arg(folder.join("text")));
    let path = empty_archive.to_str().unwrap();
    let err = format!("{path}: an archive without any object file\n");
    assert_eq!(alloc_inspect(&[path]), (Some(1), String::new(), err));
    if cfg!(target_os = "linux") {
        let object = cc(&folder, "object.o", "int thin;", ["-c"]);
        let thin = folder.join("thin.a");
        run(Command::new("ar").arg("rcT").arg(&thin).arg(object));
        let sentence = inspect(&fs::read(&thin).unwrap()).unwrap_err().to_string();
        assert_eq!(sentence, "a thin archive, whose members are files elsewhere");
    }
}

#[test]
fn truncated_files_are_never_judged() {
    for (name, bytes) in specimens("truncated") {
        inspect(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        // Archives may end after any member.
        let must_fail = !name.ends_with(".a");
        let cuts = (0..64)
            .chain((0..100).map(|i| bytes.len() * i / 100))
            .chain(bytes.len().saturating_sub(64)..bytes.len());
        let mut errors = 0;
        for cut in cuts {
            match inspect_all(&bytes[..cut]) {
                Ok(reports) => {
                    assert!(!must_fail, "{name}, {cut} of {} bytes: {}", bytes.len(), reports[0])
                }
                Err(error) => {
                    let sentence = error.to_string();
                    errors += 1;
                    assert!(!sentence.is_empty() && !sentence.contains('\n'), "{sentence:?}");
                }
            }
        }
        assert!(errors > 64, "{name}: {errors}");
    }
}

#[test]
fn flipped_bytes_never_panic() {
    // Knuth's MMIX generator: the same damage in each run.
    let mut state = 0x853c_49e6_748f_ea9b_u64;
    let mut random = move |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for (name, whole) in specimens("flipped") {
        let mut errors = 0;
        for round in 0..60 {
            let mut bytes = whole.clone();
            // mostly in the tables at both ends
            for _ in 0..1 + round % 8 {
                let at = match random(3) {
                    0 => random(1024.min(bytes.len())),
                    1 => bytes.len() - 1 - random(4096.min(bytes.len())),
                    _ => random(bytes.len()),
                };
                bytes[at] ^= 1 << random(8);
            }
            errors += usize::from(inspect_all(&bytes).is_err());
        }
        assert!(errors > 0, "{name}: damage to the header goes unnoticed");
    }
}

/// A small real file of each format and kind.
fn specimens(test: &str) -> Vec<(String, Vec<u8>)> {
    let folder = folder(test);
    let program = strip(app().file("every-program"), &folder);
    let object = cc(&folder, "object.o", "int shared(void) { return 1; }", ["-c", "-fPIC"]);
    let library = cc(&folder, "library.so", "int shared(void) { return 1; }", ["-shared", "-fPIC"]);
    let archive = folder.join("archive.a");
    run(Command::new("ar").arg("rcs").arg(&archive).arg(&object).arg(&library));
    let mut specimens: Vec<_> = [program, object, library, archive]
        .iter()
        .map(|path| (path.display().to_string(), fs::read(path).unwrap()))
        .collect();
    specimens.push(("PE".into(), pe(&jemalloc_strings(), false)));
    specimens.push((
        "Mach-O".into(),
        mach_o(&jemalloc_strings(), true, ARM64, Some("libjemalloc.2.dylib")),
    ));
    specimens
}

/// The read-only data of a real program on jemalloc.
fn jemalloc_strings() -> Vec<u8> {
    static STRINGS: OnceLock<Vec<u8>> = OnceLock::new();
    let read = || {
        let bytes = fs::read(app().file("every-program")).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        let sections = [".rodata", "__cstring"].map(|name| file.section_by_name(name));
        sections
            .into_iter()
            .flatten()
            .flat_map(|section| section.data().unwrap().to_vec())
            .collect()
    };
    STRINGS.get_or_init(read).clone()
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// A PE file for x86_64 with one section. <https://learn.microsoft.com/windows/win32/debug/pe-format>
fn pe(data: &[u8], dll: bool) -> Vec<u8> {
    let (header, size) = (0x200, u32::try_from(data.len()).unwrap());
    let mut bytes = vec![0; header];
    put(&mut bytes, 0, b"MZ");
    put(&mut bytes, 0x3c, &0x40_u32.to_le_bytes());
    put(&mut bytes, 0x40, b"PE\0\0");
    put(&mut bytes, 0x44, &0x8664_u16.to_le_bytes());
    put(&mut bytes, 0x46, &1_u16.to_le_bytes()); // sections
    put(&mut bytes, 0x54, &0xf0_u16.to_le_bytes()); // size of the optional header
    put(&mut bytes, 0x56, &(if dll { 0x2022_u16 } else { 0x22 }).to_le_bytes());
    put(&mut bytes, 0x58, &0x20b_u16.to_le_bytes());
    put(&mut bytes, 0xc4, &16_u32.to_le_bytes()); // data directories, all empty
    put(&mut bytes, 0x148, b".rdata");
    for (at, value) in
        [(0x150, size), (0x154, 0x1000), (0x158, size), (0x15c, 0x200), (0x16c, 0x4000_0040_u32)]
    {
        put(&mut bytes, at, &value.to_le_bytes());
    }
    bytes.extend_from_slice(data);
    bytes
}

const ARM64: u32 = 0x0100_000c;
const X86_64: u32 = 0x0100_0007;

/// A Mach-O file with one segment and perhaps a library that it needs. <https://github.com/apple-oss-distributions/xnu>,
/// `EXTERNAL_HEADERS/mach-o/loader.h`
fn mach_o(data: &[u8], dylib: bool, cpu: u32, needed: Option<&str>) -> Vec<u8> {
    let mut commands = Vec::new();
    if let Some(name) = needed {
        let size = (24 + name.len() + 8) & !7;
        for value in [0xc, u32::try_from(size).unwrap(), 24, 0, 0, 0] {
            commands.extend(value.to_le_bytes());
        }
        commands.extend(name.as_bytes());
        commands.resize(size, 0);
    }
    let offset = 32 + commands.len() + 72;
    let (offset, size) = (offset as u64, data.len() as u64);
    commands.extend([0x19_u32, 72].map(u32::to_le_bytes).concat());
    commands.extend(b"__TEXT\0\0\0\0\0\0\0\0\0\0");
    commands.extend([0x1_0000_0000, size, offset, size].map(u64::to_le_bytes).concat());
    commands.extend([5_u32, 5, 0, 0].map(u32::to_le_bytes).concat());
    let count = 1 + u32::from(needed.is_some());
    let file_type = if dylib { 6 } else { 2 };
    let length = u32::try_from(commands.len()).unwrap();
    let header =
        [0xfeed_facf, cpu, 0, file_type, count, length, 0, 0].map(u32::to_le_bytes).concat();
    [&header, &commands, data].concat()
}

/// A universal file, `fat.h` beside `loader.h`.
fn universal(slices: &[(u32, &[u8])]) -> Vec<u8> {
    let mut bytes =
        [0xcafe_babe, u32::try_from(slices.len()).unwrap()].map(u32::to_be_bytes).concat();
    let mut offset = 4096;
    for (cpu, slice) in slices {
        let size = u32::try_from(slice.len()).unwrap();
        bytes.extend([*cpu, 0, offset, size, 12].map(u32::to_be_bytes).concat());
        offset += size.next_multiple_of(4096);
    }
    for (_, slice) in slices {
        bytes.resize(bytes.len().next_multiple_of(4096), 0);
        bytes.extend(*slice);
    }
    bytes
}

fn dll_extension() -> &'static str {
    std::env::consts::DLL_EXTENSION
}

/// The program `alloc-inspect`, built.
fn program_path() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let args =
            ["build", "--package", "alloc-inspect", "--message-format", "json-render-diagnostics"];
        let messages = run(Command::new(env!("CARGO")).current_dir(support::ROOT).args(args));
        let messages = messages.lines().map(|line| serde_json::from_str(line).unwrap());
        let executable = messages
            .filter_map(|m: serde_json::Value| m["executable"].as_str().map(PathBuf::from))
            .next_back();
        executable.expect("Cargo says where the program is")
    })
}

/// Runs `alloc-inspect`: exit status, standard output without what is indented, standard error.
fn alloc_inspect(args: &[&str]) -> (Option<i32>, String, String) {
    let (status, out, err) = whole_output(args);
    let files = out.lines().filter(|line| !line.starts_with(' '));
    (status, files.map(|line| format!("{line}\n")).collect(), err)
}

fn whole_output(args: &[&str]) -> (Option<i32>, String, String) {
    let out = Command::new(program_path()).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (out.status.code(), text(out.stdout), text(out.stderr))
}
