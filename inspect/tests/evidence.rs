//! What counts as evidence and what does not, on files that the platform's compiler makes here. It
//! needs `cc`, `ar`, `strip` and `rustc`.

#![cfg(target_os = "linux")]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use alloc_inspect::{inspect, Allocator, Kind, Malloc, Report, Sureness};
use tempfile::TempDir;

fn run(command: &mut Command) {
    let out = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}: is it installed?"));
    assert!(out.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&out.stderr));
}

/// Compiles C or assembly, as the name of the source says.
fn cc(folder: &TempDir, source: &str, text: &str, args: &[&str]) -> PathBuf {
    let (file, out) =
        (folder.path().join(source), folder.path().join(source).with_extension("out"));
    fs::write(&file, text).unwrap();
    run(Command::new("cc").arg("-o").arg(&out).arg(&file).args(args));
    out
}

fn look(path: &Path) -> Report {
    inspect(&fs::read(path).unwrap()).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn strip(path: &Path) -> PathBuf {
    let out = path.with_extension("stripped");
    run(Command::new("strip").arg("-o").arg(&out).arg(path));
    out
}

fn rustc(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let (file, out) = (folder.path().join(name).with_extension("rs"), folder.path().join(name));
    fs::write(&file, text).unwrap();
    let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    run(Command::new(rustc).arg("-O").arg("-o").arg(&out).arg(&file));
    out
}

/// This program and its library name every marker.
#[test]
fn who_speaks_of_allocators_is_no_carrier() {
    let own = Path::new(env!("CARGO_BIN_EXE_alloc-inspect"));
    let bytes = fs::read(own).unwrap();
    for spoken in ["Scudo ERROR: ", "hardened_malloc-1", "use_numa_nodes", "Merged arenas stats:"] {
        assert!(bytes.windows(spoken.len()).any(|w| w == spoken.as_bytes()), "{spoken}");
    }
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    fs::copy(own, &copy).unwrap();
    for path in [copy.clone(), strip(&copy)] {
        let report = look(&path);
        assert_eq!(report.allocators, [], "{report}");
        assert_eq!(report.to_string(), "ELF executable, system");
    }
}

#[test]
fn the_systems_allocator() {
    let folder = tempfile::tempdir().unwrap();
    let source = "#include <stdlib.h>\nint main(void) { free(malloc(3)); return 0; }";
    let shared = cc(&folder, "shared.c", source, &["-O0"]);
    for path in [&shared, &strip(&shared)] {
        let report = look(path);
        assert_eq!((report.malloc, report.is_system()), (Malloc::Imported, true));
        assert_eq!(report.to_string(), "ELF executable, system");
    }
    let whole = look(&cc(&folder, "static.c", source, &["-O0", "-static", "-s"]));
    assert_eq!(whole.to_string(), "ELF executable, system (glibc's)");
    assert_eq!(whole.allocators[0].allocator, Allocator::Glibc);
    assert_eq!(whole.allocators[0].sureness, Sureness::Certain);
}

#[test]
fn what_is_not_known_is_not_called_the_systems() {
    let folder = tempfile::tempdir().unwrap();
    let unknown = |path: &Path| {
        let report = look(path);
        assert!(!report.is_system(), "{report}");
        report.unknown().unwrap_or_else(|| panic!("{report}")).to_owned()
    };
    let nothing = cc(&folder, "nothing.c", "int main(void) { return 0; }", &[]);
    assert_eq!(unknown(&nothing), "it imports no malloc; the libraries that it needs may");

    let own = "static char heap[99]; void *malloc(unsigned long n) { return heap + n % 9; }
        int main(void) { return *(char *)malloc(3); }";
    let own = cc(&folder, "own.c", own, &["-O0", "-fno-builtin"]);
    assert_eq!(unknown(&own), "it has a malloc of its own");

    let bare = "void _start(void) { for (;;) {} }";
    let bare = cc(&folder, "bare.c", bare, &["-static", "-nostdlib", "-s"]);
    assert_eq!(unknown(&bare), "none of the known ones, and no malloc");

    // A Rust program with an allocator that nobody knows; its C library is called by others.
    let bump = "
        use std::alloc::{GlobalAlloc, Layout};
        use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
        struct Bump;
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        static mut HEAP: [u8; 1 << 20] = [0; 1 << 20];
        unsafe impl GlobalAlloc for Bump {
            unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
                let at = NEXT.fetch_add(layout.size() + layout.align(), Relaxed);
                let start = &raw mut HEAP as *mut u8;
                unsafe { start.add(at).map_addr(|a| (a + layout.align()) & !(layout.align() - 1)) }
            }
            unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
        }
        #[global_allocator]
        static BUMP: Bump = Bump;
        fn main() { println!(\"{:?}\", std::env::args().collect::<Vec<_>>()); }";
    let bump = rustc(&folder, "bump", bump);
    assert_eq!(look(&bump).malloc, Malloc::ImportedBesides);
    let why = "it imports malloc, but Rust's system allocator is not in it";
    assert_eq!((unknown(&bump), unknown(&strip(&bump))), (why.to_owned(), why.to_owned()));
    // The same without it.
    let plain = "fn main() { println!(\"{:?}\", std::env::args().collect::<Vec<_>>()); }";
    let plain = strip(&rustc(&folder, "plain", plain));
    assert_eq!(look(&plain).to_string(), "ELF executable, system");
}

#[test]
fn libraries_that_are_needed() {
    let folder = tempfile::tempdir().unwrap();
    for (name, found) in [
        ("libjemalloc.so.2", Some("jemalloc")),
        ("libmimalloc.so.2.0", Some("mimalloc")),
        ("libmimalloc-secure.so.2", Some("mimalloc")),
        ("libtcmalloc_minimal.so.4", Some("tcmalloc")),
        ("libsnmallocshim.so", Some("snmalloc")),
        ("librpmalloc.so", Some("rpmalloc")),
        ("libhardened_malloc-light.so", Some("hardened_malloc")),
        ("libscudo.so", Some("scudo")),
        ("libnotjemalloc.so", None),
    ] {
        let soname = format!("-Wl,-soname,{name}");
        let library = cc(&folder, "library.c", "int shared;", &["-shared", "-fPIC", &soname]);
        let source = "#include <stdlib.h>\nint main(void) { free(malloc(3)); return 0; }";
        let args = ["-O0", "-Wl,--no-as-needed", library.to_str().unwrap()];
        let report = look(&strip(&cc(&folder, "program.c", source, &args)));
        let expected = match found {
            Some(allocator) => format!("ELF executable, {allocator} from {name}"),
            None => "ELF executable, system".to_owned(),
        };
        assert_eq!(report.to_string(), expected);
    }
}

/// A library's name comes from the file, and may hold anything.
#[test]
fn names_in_a_file_that_would_obey_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let soname = "-Wl,-soname,libjemalloc.so\x1b[31m\nnot a line of ours";
    let library = cc(&folder, "library.c", "int shared;", &["-shared", "-fPIC", soname]);
    let args = ["-Wl,--no-as-needed", library.to_str().unwrap()];
    let report = look(&cc(&folder, "program.c", "int main(void) { return 0; }", &args));
    let line = r"ELF executable, jemalloc from libjemalloc.so\u{1b}[31m\nnot a line of ours";
    assert_eq!(report.to_string(), line);
}

#[test]
fn without_section_headers() {
    let folder = tempfile::tempdir().unwrap();
    let source = "#include <stdlib.h>\nint main(void) { free(malloc(3)); return 0; }";
    let mut bytes = fs::read(strip(&cc(&folder, "program.c", source, &["-O0"]))).unwrap();
    let before = inspect(&bytes).unwrap();
    let (table, counts) =
        if bytes[4] == 2 { (0x28..0x30, 0x3a..0x40) } else { (0x20..0x24, 0x2e..0x34) };
    bytes[table].fill(0);
    bytes[counts].fill(0);
    let after = inspect(&bytes).unwrap();
    assert_eq!((after.malloc, after.needed), (before.malloc, before.needed));
}

/// Compressed debug information is neither needed nor in the way.
#[test]
fn debug_sections() {
    let folder = tempfile::tempdir().unwrap();
    let source = "#include <stdlib.h>\nint main(void) { free(malloc(3)); return 0; }";
    for flag in ["-gz=zlib", "-gz=none"] {
        let report = look(&cc(&folder, "program.c", source, &["-O0", "-g", flag]));
        assert_eq!(report.to_string(), "ELF executable, system");
    }
}

/// An assembler's view of the note.
fn note(name: &str, name_size: usize, kind: u32, size: usize, text: &str) -> String {
    format!(
        ".section .note.alloc-switch, \"\", %note\n.balign 4\n.long {name_size}, {size}, {kind}\n\
         .asciz \"{name}\"\n.balign 4\n1: .ascii \"{text}\"\n.fill {size} - (. - 1b), 1, 0\n\
         .section .note.GNU-stack, \"\", %progbits\n"
    )
}

fn good(text: &str) -> String {
    note("alloc-switch", 13, 1, 128, text)
}

#[test]
fn the_decision() {
    let folder = tempfile::tempdir().unwrap();
    let lines = [
        ("jemalloc 5.3.1 (executable artifact)", "jemalloc 5.3.1", "executable artifact"),
        (
            "mimalloc::MiMalloc (target not on the jemalloc list)",
            "mimalloc::MiMalloc",
            "target not on the jemalloc list",
        ),
        ("system (cfg(miri))", "system", "cfg(miri)"),
    ];
    for (line, allocator, reason) in lines {
        let object = cc(&folder, "note.s", &good(line), &["-c"]);
        let source = "int main(void) { return 0; }";
        let program = cc(&folder, "program.c", source, &[object.to_str().unwrap()]);
        for path in [&object, &program, &strip(&program)] {
            let decisions = look(path).decisions;
            assert_eq!(decisions.len(), 1, "{}", path.display());
            let found = (&*decisions[0].text, &*decisions[0].allocator, &*decisions[0].reason);
            assert_eq!(found, (line, allocator, reason));
        }
    }
    // several, as when two libraries are in one program
    let texts = lines.map(|(line, ..)| good(line)).concat() + &good(lines[0].0);
    let several = look(&cc(&folder, "several.s", &texts, &["-c"]));
    let found: Vec<&str> = several.decisions.iter().map(|d| &*d.text).collect();
    assert_eq!(found, lines.map(|(line, ..)| line));
}

#[test]
fn a_decision_that_the_file_contradicts() {
    let folder = tempfile::tempdir().unwrap();
    let object = cc(&folder, "note.s", &good("jemalloc 5.3.1 (executable artifact)"), &["-c"]);
    let source = "int main(void) { return 0; }";
    let report = look(&cc(&folder, "program.c", source, &[object.to_str().unwrap()]));
    assert_eq!(report.advice, ["alloc-switch decided for jemalloc, but there is none in it"]);
}

#[test]
fn notes_that_are_not_ours_or_broken() {
    let folder = tempfile::tempdir().unwrap();
    let long = "x".repeat(120);
    for wrong in [
        note("alloc-switch", 13, 2, 128, "system (a kind to come)"),
        note("alloc-switch", 13, 1, 64, "system (too short a note)"),
        note("alloc-switch", 13, 1, 256, "system (too long a note)"),
        note("alloc-snitch", 13, 1, 128, "system (not our name)"),
        note("alloc-switch", 9999, 1, 128, "system (the name is too long)"),
        good(""),
        good("system"),
        good("(no allocator)"),
        good("system ()"),
        good(&long),
        good("system (\\033[31mred)"),
        good("system (\\377\\376)"),
        good("system (two\\nlines)"),
        ".section .note.alloc-switch, \"\", %note\n.byte 1\n".to_owned(),
    ] {
        let report = look(&cc(&folder, "note.s", &wrong, &["-c"]));
        assert_eq!(report.decisions, [], "{wrong}");
        let sentence = "it has a note of alloc-switch's that cannot be read";
        assert_eq!(report.advice, [sentence], "{wrong}");
    }
    // What other notes say is theirs.
    let other = good("system (in another section)").replace(".note.alloc-switch", ".note.other");
    let report = look(&cc(&folder, "note.s", &other, &["-c"]));
    assert_eq!((report.decisions, report.advice), (vec![], vec![]));
}

/// glibc spares some static TLS for libraries that come later; how much decides.
#[test]
fn libraries_with_static_tls() {
    let folder = tempfile::tempdir().unwrap();
    for (bytes, loads) in [(8, true), (4096, false)] {
        let source = format!(
            "__thread char local[{bytes}] __attribute__((tls_model(\"initial-exec\")));
             char *address(void) {{ return local; }}"
        );
        let library = cc(&folder, "library.c", &source, &["-shared", "-fPIC"]);
        let report = look(&library);
        assert_eq!((report.kind, report.static_tls), (Kind::SharedLibrary, true));
        assert_eq!(report.can_be_dlopened(), Some(loads), "{report}");
        assert_eq!(report.advice.is_empty(), loads);
        // and so says the loader
        let host = "#include <dlfcn.h>\nint main(int n, char **path) {
            return n != 2 || !dlopen(path[1], RTLD_NOW);
        }";
        let host = cc(&folder, "host.c", host, &["-ldl"]);
        let status = Command::new(host).arg(OsStr::new(&library)).status().unwrap();
        assert_eq!(status.success(), loads);
    }
}
