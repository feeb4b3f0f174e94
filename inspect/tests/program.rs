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
        format!("{path}/deep/er/library: Mach-O shared library, mimalloc 3, can be dlopened\n"),
        format!(
            "{path}/program: ELF executable, jemalloc 5.3.1 prefixed\n    alloc-switch decided: \
             jemalloc 5.3.1 (executable artifact)\n"
        ),
    ];
    assert_eq!(run(&[path]), (0, lines.concat(), String::new()));
    // in the order of the arguments
    let program = format!("{path}/program");
    let (_, out, _) = run(&[&program, path]);
    assert_eq!(out, format!("{}{}", lines[1], lines.concat()));
    let (status, out, err) = run(&["--expect", "jemalloc", path]);
    assert_eq!((status, err.as_str()), (1, ""));
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
    let err = format!("{path}: a folder without a program, library, object or archive\n");
    assert_eq!(run(&["--expect", "jemalloc", path]), (1, String::new(), err));
}

#[test]
fn links_that_go_round() {
    let folder = folder();
    symlink(folder.path(), folder.path().join("deep/round")).unwrap();
    symlink("itself", folder.path().join("itself")).unwrap();
    let (status, out, err) = run(&[text(folder.path())]);
    let files = out.lines().filter(|line| !line.starts_with(' ')).count();
    assert_eq!((status, files, err.as_str()), (0, 2, ""));
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
    for said in ["Exit status:", "--expect <NAME>", "hardened_malloc", "LD_PRELOAD"] {
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
    assert!(String::from_utf8(out.stdout).unwrap().ends_with(": PE executable, mimalloc 3\n"));
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
    // In a folder they are passed by.
    fs::copy(seed("pe.exe"), folder.path().join("x.exe")).unwrap();
    let (status, out, err) = run(&[text(folder.path())]);
    assert_eq!((status, out.lines().count(), err.as_str()), (0, 1, ""));
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
    // it: a program that is open for writing cannot be run, and another test's child may have it so.
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
            "{closed}: no permission to read this folder\n{secret}: no permission to read it\n"
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
    let shown = "two\\nlines\\u{1b}[2J\\u{202e}: PE executable, mimalloc 3\n";
    assert_eq!(status, 0);
    assert!(out.ends_with(shown) && out.lines().count() == 1, "{out:?}");

    // and bytes that are no text at all
    use std::os::unix::ffi::OsStrExt;
    let bytes = folder.path().join(std::ffi::OsStr::from_bytes(b"\xff\xfe"));
    fs::copy(seed("pe.exe"), &bytes).unwrap();
    let (status, out, _) = finish(Command::new(PROGRAM).arg(&bytes));
    assert_eq!(status, 0);
    assert!(out.ends_with("\u{fffd}\u{fffd}: PE executable, mimalloc 3\n"), "{out}");
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
    let printed: Vec<&str> = out.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(printed, names.iter().map(|name| text(name)).collect::<Vec<_>>());
}
