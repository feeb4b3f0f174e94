//! The program as a user meets it: arguments, output, exit status; and an environment that is not
//! as it should be.

#![cfg(unix)]

use std::fs::{self, File};
use std::os::unix::fs::{symlink, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_alloc-inspect");
const NOT_A_PROGRAM: &str =
    "not a program, library, object or archive in ELF, Mach-O, PE or WebAssembly";

fn seed(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    path.to_str().unwrap().to_owned()
}

/// Runs the program: exit status, standard output, standard error.
fn run(args: &[&str]) -> (i32, String, String) {
    finish(Command::new(PROGRAM).args(args))
}

fn finish(command: &mut Command) -> (i32, String, String) {
    let out = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A folder with a program on jemalloc, a library on mimalloc, a script and a link.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("deep/er");
    fs::create_dir_all(&deep).unwrap();
    fs::copy(seed("elf-program-stripped"), folder.path().join("program")).unwrap();
    fs::copy(seed("macho-library.dylib"), deep.join("library")).unwrap();
    fs::write(folder.path().join("script"), "#!/bin/sh\necho jemalloc\n").unwrap();
    symlink("program", folder.path().join("another-name")).unwrap();
    folder
}

#[test]
fn files_and_what_stands_below_them() {
    let (program, object) = (seed("elf-program"), seed("elf-object.o"));
    let (status, out, err) = run(&[&program, &object]);
    let expected = format!(
        "{program}: ELF executable, jemalloc 5.3.1 prefixed
    alloc-switch decided: jemalloc 5.3.1 (executable artifact)
    options: narenas:3,dirty_decay_ms:777 (in _rjem_malloc_conf)
    note: the options in malloc_conf (\"narenas:9\") are ignored: this jemalloc reads _rjem_malloc_conf
{object}: ELF object, jemalloc 5.3.1 prefixed
"
    );
    assert_eq!((status, out.as_str(), err.as_str()), (0, expected.as_str(), ""));
    let (status, out, _) = run(&["--verbose", &program]);
    assert_eq!(status, 0);
    for line in [
        "    architecture: x86_64\n",
        "    jemalloc: certain, by 6 of 6 messages, its variable\n",
        "    jemalloc's heap profiles: no\n",
        "    jemalloc's statistics: yes\n",
        "    needs: libc.so.6\n",
    ] {
        assert!(out.contains(line), "{out}");
    }
}

#[test]
fn folders() {
    let folder = folder();
    let path = text(folder.path());
    let lines = [
        format!(
            "{path}/deep/er/library: Mach-O shared library, mimalloc 3, can be dlopened\n    \
             alloc-switch decided: mimalloc::MiMalloc (global_allocator!(custom))\n"
        ),
        format!(
            "{path}/program: ELF executable, jemalloc 5.3.1 prefixed\n    alloc-switch decided: \
             jemalloc 5.3.1 (executable artifact)\n"
        ),
    ];
    let left = format!("{path}: left out: symbolic links: 1, other files: 1\n");
    assert_eq!(run(&[path]), (0, lines.concat(), left.clone()));
    // in the order of the arguments
    let program = format!("{path}/program");
    let (_, out, _) = run(&[&program, path]);
    assert_eq!(out, format!("{}{}", lines[1], lines.concat()));
    let (status, out, err) = run(&["--expect", "jemalloc", path]);
    assert_eq!((status, err), (1, left));
    assert!(out.contains("can be dlopened, but jemalloc was expected\n"), "{out}");

    // A script that is named is an error, one in a folder is not.
    let script = format!("{path}/script");
    assert_eq!(run(&[&script]), (1, String::new(), format!("{script}: {NOT_A_PROGRAM}\n")));
}

#[test]
fn an_empty_folder_meets_no_expectation() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("text"), "jemalloc").unwrap();
    let path = text(folder.path());
    symlink(PROGRAM, folder.path().join("link")).unwrap();
    let err = format!(
        "{path}: left out: symbolic links: 1, other files: 1\n\
         {path}: a folder without a program, library, object or archive\n"
    );
    assert_eq!(run(&["--expect", "system", path]), (1, String::new(), err));
}

#[test]
fn links_that_go_round() {
    let folder = folder();
    symlink(folder.path(), folder.path().join("deep/round")).unwrap();
    symlink("itself", folder.path().join("itself")).unwrap();
    let (status, out, err) = run(&[text(folder.path())]);
    let files = out.lines().filter(|line| !line.starts_with(' ')).count();
    let left = format!("{}: left out: symbolic links: 3, other files: 1\n", text(folder.path()));
    assert_eq!((status, files, err), (0, 2, left));
    // a link to a folder is followed where it is named
    let round = folder.path().join("deep/round");
    let (status, again, _) = run(&[text(&round)]);
    assert_eq!((status, again.lines().count()), (0, out.lines().count()));
    let itself = folder.path().join("itself");
    let (status, out, err) = run(&[text(&itself)]);
    assert_eq!((status, out.as_str(), err.lines().count()), (1, "", 1), "{err}");
}

#[test]
fn expectations() {
    let files = [
        ("elf-program", "jemalloc"),
        ("elf-musl-static", "mimalloc"),
        ("elf-musl-static", "mallocng"),
        ("elf-lto.o", "unknown"),
    ];
    for (name, allocator) in files {
        let path = seed(name);
        let (status, _, err) = run(&["--expect", allocator, &path]);
        assert_eq!((status, err.as_str()), (0, ""), "{name}");
        let (status, out, err) = run(&["--expect", "system", &path]);
        assert_eq!((status, err.as_str()), (1, ""));
        let line = out.lines().next().unwrap();
        assert!(line.ends_with(", but the system allocator was expected"), "{out}");
    }
    // this program itself
    let (status, out, err) = run(&["--expect=system", PROGRAM]);
    assert_eq!((status, err.as_str()), (0, ""), "{out}");
}

#[test]
fn json() {
    let (program, fat) = (seed("elf-program"), seed("macho-universal"));
    let args = ["--json", "--expect", "jemalloc", &program, &fat, "no-such-file"];
    let (status, out, err) = run(&args);
    assert_eq!((status, err.as_str()), (1, "no-such-file: there is no such file\n"));
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    let first = &lines[0];
    assert_eq!(first["path"], program);
    assert_eq!(first["verdict"], serde_json::json!(["jemalloc"]));
    assert_eq!(first["expected"], true);
    assert_eq!(first["format"], "ELF");
    assert_eq!(first["kind"], "executable");
    assert_eq!(first["can_be_dlopened"], Value::Null);
    assert_eq!(lines[1]["can_be_dlopened"], true);
    assert_eq!(first["jemalloc"]["version"], "5.3.1");
    assert_eq!(first["jemalloc"]["options"], "narenas:3,dirty_decay_ms:777");
    assert_eq!(first["decisions"][0]["reason"], "executable artifact");
    assert_eq!(first["allocators"][0]["sureness"], "certain");
    assert_eq!(
        (&lines[1]["verdict"][0], &lines[1]["expected"]),
        (&"mimalloc".into(), &false.into())
    );
    assert_eq!(
        (&lines[2]["verdict"][0], &lines[2]["kind"]),
        (&"jemalloc".into(), &"object".into())
    );
    let error = serde_json::json!({"path": "no-such-file", "error": "there is no such file"});
    assert_eq!(lines[3], error);
}

#[test]
fn wrong_arguments_and_help() {
    for wrong in [
        &[][..],
        &["--expect", "system"],
        &["--expect"],
        &["--expect", "libc", PROGRAM],
        &["--quiet", PROGRAM],
        &["--json", "--verbose", PROGRAM],
    ] {
        let (status, out, err) = run(wrong);
        assert_eq!((status, out.as_str()), (2, ""), "{wrong:?}");
        assert!(err.starts_with("error: "), "{wrong:?}: {err}");
    }
    let (status, out, err) = run(&["--help"]);
    assert_eq!((status, err.as_str()), (0, ""));
    for said in [
        "Exit status:",
        "--expect <NAME>",
        "--loadable",
        "hardened_malloc",
        "symbolic links",
        "LD_PRELOAD",
    ] {
        assert!(out.contains(said), "{out}");
    }
    assert!(out.lines().all(|line| line.len() <= 100), "{out}");
    let (status, out, _) = run(&["--version"]);
    assert_eq!((status, out), (0, format!("alloc-inspect {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn a_pipe_that_nobody_reads() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let out = Command::new(PROGRAM).arg(seed("")).stdout(writer).output().unwrap();
    let err = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(3), "{err}");
    let last = "alloc-inspect: not everything was printed: whoever read the results has gone\n";
    assert!(err.ends_with(last), "{err}");

    // Help is for people, who may have seen enough.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let out = Command::new(PROGRAM).arg("--help").stdout(writer).output().unwrap();
    assert_eq!((out.status.code(), out.stderr.len()), (Some(0), 0));

    // Nor does it fail where nobody hears complaints.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let out = Command::new(PROGRAM).args(["no-such-file", &seed("pe.exe")]).stderr(writer).output();
    let out = out.unwrap();
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8(out.stdout).unwrap().contains(": PE executable, mimalloc 3\n"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let out = Command::new(PROGRAM).arg(seed("pe.exe")).stdout(full).output().unwrap();
    let err = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(3));
    assert!(err.starts_with("alloc-inspect: not everything was printed: No space left"), "{err}");
}

/// The members of a thin archive are names, and whoever wrote them may have meant anything.
#[test]
fn a_thin_archive_of_what_is_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("member.o");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let names = "member.o/\n/dev/zero/\n\n"; // of even length
    let header =
        |name: &str, size: usize| format!("{name:16}{:12}{:6}{:6}{:8}{size:<10}`\n", 0, 0, 0, 644);
    for (member, sentence) in [
        ("/0", format!("{}/member.o cannot be read: a pipe, not a file", text(folder.path()))),
        ("/10", "/dev/zero cannot be read: a device, not a file".to_owned()),
    ] {
        let archive = folder.path().join("thin.a");
        let bytes = format!("!<thin>\n{}{names}{}", header("//", names.len()), header(member, 99));
        fs::write(&archive, bytes).unwrap();
        let (status, out, err) = run(&[text(&archive)]);
        assert_eq!((status, out.as_str()), (1, ""));
        let start = format!("{}: a thin archive whose member ", text(&archive));
        assert_eq!(err, format!("{start}{sentence}\n"));
    }
}

/// A pipe without a writer would be waited for, a device read for ever.
#[test]
fn what_is_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let socket = folder.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    let tape = folder.path().join("tape");
    symlink("/dev/zero", &tape).unwrap();
    for (path, sentence) in [
        (text(&fifo), "a pipe, not a file"),
        (text(&socket), "a socket, not a file"),
        (text(&tape), "a device, not a file"),
        ("/dev/zero", "a device, not a file"),
        ("/dev/stdin", "a device, not a file"), // /dev/null here
    ] {
        let (status, out, err) = run(&[path]);
        assert_eq!((status, out.as_str()), (1, ""));
        assert_eq!(err, format!("{path}: {sentence}\n"));
    }
    // In a folder they are left out.
    fs::copy(seed("pe.exe"), folder.path().join("x.exe")).unwrap();
    let (status, out, err) = run(&[text(folder.path())]);
    let left = "left out: symbolic links: 1, devices, pipes and sockets: 2";
    assert_eq!((status, out.lines().count()), (0, 2), "{out}");
    assert_eq!(err, format!("{}: {left}\n", text(folder.path())));
}

/// The folder of the devices has file systems of its own in it.
#[cfg(target_os = "linux")]
#[test]
fn other_file_systems_are_left_out_and_counted() {
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    let inside = fs::read_dir("/dev").unwrap().map(|entry| entry.unwrap().path());
    let folders = inside.filter(|path| path.is_dir() && !path.is_symlink());
    let count = folders.filter(|path| device(path) != device(Path::new("/dev"))).count();
    assert!(count > 0, "such as /dev/shm");
    let (status, _, err) = run(&["/dev"]);
    assert_eq!(status, 1);
    let counted = format!("folders of other file systems: {count}, devices, pipes and sockets: ");
    assert!(err.contains(&counted), "{err}");
}

#[test]
fn files_of_the_kernel() {
    if !cfg!(target_os = "linux") {
        return;
    }
    // of length 0, whatever is in it
    let (status, _, err) = run(&["/proc/self/maps"]);
    assert_eq!((status, err), (1, format!("/proc/self/maps: {NOT_A_PROGRAM}\n")));
    // a link to the program that reads it
    let (status, out, _) = run(&["/proc/self/exe"]);
    assert_eq!((status, out.as_str()), (0, "/proc/self/exe: ELF executable, system\n"));
}

#[test]
fn no_permission() {
    let folder = folder();
    let (closed, secret) = (folder.path().join("closed"), folder.path().join("secret"));
    fs::create_dir(&closed).unwrap();
    fs::copy(seed("pe.exe"), closed.join("x.exe")).unwrap();
    fs::copy(seed("pe.exe"), &secret).unwrap();
    // A copy of the program, for it may be in a folder that only its owner may enter. A child makes
    // it: a program that is open for writing cannot be run, and another test's child may have it
    // so.
    let program = folder.path().join("program");
    assert!(Command::new("cp").arg(PROGRAM).arg(&program).status().unwrap().success());
    for (path, mode) in [(folder.path(), 0o755), (&closed, 0), (&secret, 0), (&program, 0o755)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut command = Command::new(&program);
    if fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0) {
        command.uid(65534); // whom nothing is refused would read it all
    }
    let (status, out, err) = finish(command.current_dir("/").arg(folder.path()));
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(status, 1);
    let (closed, secret) = (text(&closed), text(&secret));
    assert_eq!(
        err,
        format!(
            "{closed}: no permission to read this folder\n{secret}: no permission to read it\n\
             {}: left out: symbolic links: 1, other files: 1\n",
            text(folder.path())
        )
    );
    let files = out.lines().filter(|line| !line.starts_with(' ')).count();
    assert_eq!(files, 2, "the rest is read: {out}");
}

#[test]
fn names_that_would_obey_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let name = "two\nlines\x1b[2J\u{202e}";
    fs::copy(seed("pe.exe"), folder.path().join(name)).unwrap();
    let (status, out, _) = run(&[text(folder.path())]);
    let shown = "two\\nlines\\u{1b}[2J\\u{202e}: PE executable, mimalloc 3\n    alloc";
    assert_eq!(status, 0);
    assert!(out.contains(shown) && out.lines().count() == 2, "{out:?}");

    // and bytes that are no text at all
    use std::os::unix::ffi::OsStrExt;
    let bytes = folder.path().join(std::ffi::OsStr::from_bytes(b"\xff\xfe"));
    fs::copy(seed("pe.exe"), &bytes).unwrap();
    let (status, out, _) = finish(Command::new(PROGRAM).arg(&bytes));
    assert_eq!(status, 0);
    assert!(out.contains("\u{fffd}\u{fffd}: PE executable, mimalloc 3\n"), "{out}");
}

#[test]
fn many_files_are_printed_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<PathBuf> =
        (0..500).map(|number| folder.path().join(format!("{number:03}"))).collect();
    for name in &names {
        fs::copy(seed(if name.ends_with("100") { "elf-musl-static" } else { "pe.exe" }), name)
            .unwrap();
    }
    let (status, out, _) = run(&[text(folder.path())]);
    assert_eq!(status, 0);
    let files = out.lines().filter(|line| !line.starts_with(' '));
    let printed: Vec<&str> = files.map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(printed, names.iter().map(|name| text(name)).collect::<Vec<_>>());
}

/// What Linux runs is named, whatever its first bytes are said to be.
#[test]
fn program_that_hides_is_no_success() {
    let whole = fs::read(seed("elf-program")).unwrap();
    let number = |at: usize| u16::from_le_bytes([whole[at], whole[at + 1]]);
    let changed = |at: usize, value: u8| {
        let mut bytes = whole.clone();
        bytes[at] = value;
        bytes
    };
    // one more executable segment, without bytes in the file, in place of the last, which says
    // nothing
    let mut empty = whole.clone();
    let last = 64 + 56 * (usize::from(number(56)) - 1);
    let segment = [[1_u32, 5].map(u32::to_le_bytes).concat(), {
        [0, 0x10_0000, 0x10_0000, 0, 4096, 4096].map(u64::to_le_bytes).concat()
    }];
    empty[last..last + 56].copy_from_slice(&segment.concat());
    empty[24..32].copy_from_slice(&0x10_0000_u64.to_le_bytes());
    // an empty one that is the only one, whose page comes from the file all the same
    let mut middle = whole.clone();
    for at in (0..usize::from(number(56))).map(|index| 64 + 56 * index) {
        let executable = middle[at..at + 8] == [1_u32, 5].map(u32::to_le_bytes).concat();
        if executable {
            middle[at + 16] = 0x80;
            middle[at + 32..at + 40].fill(0);
        }
    }
    // of 32 bits by its first bytes, and with a header of 64
    let mut both = changed(4, 1);
    both[28..32].copy_from_slice(&64_u32.to_le_bytes());
    both[42..44].copy_from_slice(&32_u16.to_le_bytes());
    let fat = |count: u32, parts: &[(u32, &[u8])]| {
        let mut bytes = [0xcafe_babe, count].map(u32::to_be_bytes).concat();
        for (cpu, part) in parts {
            bytes.extend([*cpu, 3, 8192, part.len() as u32, 12].map(u32::to_be_bytes).concat());
        }
        bytes.resize(8192, 0);
        bytes.extend(parts[0].1);
        bytes
    };
    let part = fs::read(seed("macho-library.dylib")).unwrap();
    let damaged = "a damaged file: ";
    let cases = [
        ("no class", changed(4, 0), damaged),
        ("other class", changed(4, 3), damaged),
        ("no byte order", changed(5, 0), damaged),
        ("other byte order", changed(5, 2), damaged),
        ("of 32 bits", changed(18, 3), damaged),
        ("of both", both, damaged),
        ("no version", changed(6, 0), damaged),
        ("empty segment", empty, ", but mimalloc was expected"),
        ("empty segment in a page", middle, ", but mimalloc was expected"),
        ("many parts", fat(60, &[(0x100, &part)]), damaged),
        ("very many parts", fat(300, &[(0x100, &part)]), "no program"),
    ];
    for (what, bytes, sentence) in cases {
        let folder = tempfile::tempdir().unwrap();
        fs::copy(seed("elf-musl-static"), folder.path().join("a-good-one")).unwrap();
        fs::write(folder.path().join("other"), bytes).unwrap();
        let (status, out, err) = run(&["--expect", "mimalloc", text(folder.path())]);
        if sentence == "no program" {
            assert_eq!((status, err.contains("other files: 1")), (0, true), "{what}: {out}{err}");
            continue;
        }
        assert_eq!(status, 1, "{what}: {out}{err}");
        assert!((out + &err).contains(sentence), "{what}: {err}");
    }
}

/// Debug information in one part of a universal file, or a text that begins as an object in an
/// archive, does not hide the rest.
#[test]
fn what_is_beside_a_program_does_not_hide_it() {
    let folder = tempfile::tempdir().unwrap();
    let program = fs::read(seed("macho-library.dylib")).unwrap();
    let mut symbols = program.clone();
    symbols[12] = 10; // MH_DSYM
    let mut bytes = [0xcafe_babe_u32, 2].map(u32::to_be_bytes).concat();
    for (cpu, offset) in [(0x0100_000c, 4096), (0x0100_0007, 4096 + program.len() as u32)] {
        let length = program.len() as u32;
        bytes.extend([cpu, 3, offset, length, 0].map(u32::to_be_bytes).concat());
    }
    bytes.resize(4096, 0);
    fs::write(folder.path().join("universal"), [bytes, symbols, program].concat()).unwrap();

    let archive = folder.path().join("archive.a");
    let decoy = folder.path().join("decoy.o");
    fs::write(&decoy, "L\x01 is no object").unwrap();
    let object = seed("elf-object.o");
    let made = Command::new("ar").args(["rc", text(&archive), text(&decoy), &object]).output();
    assert!(made.unwrap().status.success());

    let (status, out, err) = run(&["--expect", "system", text(folder.path())]);
    assert_eq!((status, out.matches("but the system allocator").count()), (1, 2), "{out}{err}");
    assert_eq!(err, format!("{}: left out: other files: 1\n", text(folder.path())));
}

#[test]
fn debug_information_is_left_out_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let debug = folder.path().join("program.debug");
    let out = Command::new("objcopy").arg("--only-keep-debug").arg(PROGRAM).arg(&debug).output();
    assert!(out.unwrap().status.success());
    let path = text(&debug);
    let sentence = "debug information, kept apart from its program";
    assert_eq!(run(&[path]), (1, String::new(), format!("{path}: {sentence}\n")));
    fs::copy(PROGRAM, folder.path().join("program")).unwrap();
    let (status, out, err) = run(&["--expect", "system", text(folder.path())]);
    assert_eq!((status, out.lines().count()), (0, 1));
    let left = "left out: debug information and the like: 1";
    assert_eq!(err, format!("{}: {left}\n", text(folder.path())));
}

#[test]
fn loadable_is_asked_for_by_itself() {
    let (refused, fine) = (seed("elf-library-static-tls.so"), seed("elf-aarch64-pages-16.so"));
    assert_eq!(run(&["--expect", "jemalloc", &refused]).0, 0);
    assert_eq!(run(&["--loadable", &fine, PROGRAM]).0, 0);
    for args in [&["--loadable", &refused][..], &["--expect", "jemalloc", "--loadable", &refused]] {
        let (status, out, err) = run(args);
        assert_eq!((status, err.as_str()), (1, ""));
        let line = out.lines().next().unwrap();
        assert!(line.ends_with(" of static TLS), but a loadable library was expected"), "{out}");
    }
    let (status, out, _) = run(&["--json", "--loadable", &refused, &fine]);
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(status, 1);
    assert_eq!((&lines[0]["expected"], &lines[1]["expected"]), (&false.into(), &true.into()));
    assert_eq!(lines[0]["can_be_dlopened"], false);
}

#[cfg(target_os = "linux")]
#[test]
fn library_that_forbids_it_is_not_loadable() {
    let folder = tempfile::tempdir().unwrap();
    let (source, library) = (folder.path().join("library.c"), folder.path().join("library.so"));
    fs::write(&source, "int shared(void) { return 1; }").unwrap();
    let args = ["-shared", "-fPIC", "-Wl,-z,nodlopen", "-o", text(&library), text(&source)];
    assert!(Command::new("cc").args(args).status().unwrap().success());
    let (status, out, _) = run(&["--loadable", text(&library)]);
    assert_eq!(status, 1);
    let said = ", cannot be dlopened, but a loadable library was expected\n    note: dlopen refuses it: it \
                was linked with -z nodlopen\n";
    assert!(out.ends_with(said), "{out}");
}

/// Two files are never one.
#[test]
fn json_names_every_file_as_it_is_called() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let names: [&[u8]; 7] = [
        b"a\nb",
        b"a\\nb",
        b"a\xffb",
        b"a\xfeb",
        "a\u{fffd}b".as_bytes(),
        b"[97,255,98]",
        b"\x1b[2J",
    ];
    for name in names {
        let path = folder.path().join(std::ffi::OsStr::from_bytes(name));
        fs::copy(seed("pe.exe"), path).unwrap();
    }
    fs::write(folder.path().join("a\tdamaged"), b"\x7fELF".repeat(20)).unwrap();
    let (status, out, _) = run(&["--json", text(folder.path())]);
    assert_eq!((status, out.lines().count()), (1, 8));
    let mut found: Vec<Vec<u8>> = out
        .lines()
        .map(|line| match &serde_json::from_str::<Value>(line).unwrap()["path"] {
            Value::String(text) => text.clone().into_bytes(),
            bytes => serde_json::from_value(bytes.clone()).unwrap(),
        })
        .map(|path| path.rsplit(|byte| *byte == b'/').next().unwrap().to_vec())
        .collect();
    let mut expected = names.map(<[u8]>::to_vec).to_vec();
    expected.push(b"a\tdamaged".to_vec());
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

/// A variable that another program's library reads made twenty thousand threads.
#[cfg(target_os = "linux")]
#[test]
fn threads_are_as_many_as_processors_whatever_the_environment_says() {
    let limited = "ulimit -v 4000000 && exec \"$0\" \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", limited, PROGRAM, &seed("pe.exe")]).env("RAYON_NUM_THREADS", "20000");
    let (status, out, err) = finish(&mut command);
    assert_eq!((status, err.as_str()), (0, ""), "{out}");
}
