//! What counts as evidence and what does not, on files that the platform's compiler makes here. It
//! needs `cc`, `ar`, `strip` and `rustc`.

#![cfg(target_os = "linux")]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use alloc_inspect::{inspect, Allocator, Kind, Malloc, Report, Sureness, MESSAGES};
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
    let mark = [b"alloc-switch", &[0; 4][..]].concat();
    let with_its_numbers = |at: usize| bytes[at - 12..at - 8] == 13_u32.to_ne_bytes();
    let marks = (12..bytes.len() - 16).filter(|at| bytes[*at..].starts_with(&mark));
    assert_eq!(marks.filter(|at| with_its_numbers(*at)).count(), 0);
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

fn without_section_headers(bytes: &mut [u8]) {
    let (table, counts) =
        if bytes[4] == 2 { (0x28..0x30, 0x3a..0x40) } else { (0x20..0x24, 0x2e..0x34) };
    bytes[table].fill(0);
    bytes[counts].fill(0);
}

#[test]
fn section_headers_are_not_needed() {
    let folder = tempfile::tempdir().unwrap();
    let source = "#include <stdlib.h>\nint main(void) { free(malloc(3)); return 0; }";
    let mut bytes = fs::read(strip(&cc(&folder, "program.c", source, &["-O0"]))).unwrap();
    let before = inspect(&bytes).unwrap();
    without_section_headers(&mut bytes);
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
        ".section .note.alloc-switch, \"a\", %note\n.balign 4\n.long {name_size}, {size}, {kind}\n\
         .asciz \"{name}\"\n.balign 4\n.ascii \"{text}\"\n.balign 4\n\
         .section .note.GNU-stack, \"\", %progbits\n"
    )
}

fn good(text: &str) -> String {
    note("alloc-switch", 13, 1, text.len(), text)
}

#[test]
fn decision_is_read_wherever_its_note_is() {
    let folder = tempfile::tempdir().unwrap();
    let lines = [
        ("jemalloc 5.3.1 (executable artifact)", "jemalloc 5.3.1", "executable artifact"),
        (
            "mimalloc::MiMalloc (global_allocator!(custom))",
            "mimalloc::MiMalloc",
            "global_allocator!(custom)",
        ),
        ("my::Pool<fn (u8)> (cfg(miri))", "my::Pool<fn (u8)>", "cfg(miri)"),
    ];
    for (line, allocator, reason) in lines {
        let object = cc(&folder, "note.s", &good(line), &["-c"]);
        let source = "int main(void) { return 0; }";
        let program = cc(&folder, "program.c", source, &[object.to_str().unwrap()]);
        let stripped = strip(&program);
        let bare = folder.path().join("bare");
        let mut bytes = fs::read(&stripped).unwrap();
        without_section_headers(&mut bytes);
        fs::write(&bare, bytes).unwrap();
        for path in [&object, &program, &stripped, &bare] {
            let decisions = look(path).decisions;
            assert_eq!(decisions.len(), 1, "{}", path.display());
            let found = (&*decisions[0].text, &*decisions[0].allocator, &*decisions[0].reason);
            assert_eq!(found, (line, allocator, reason));
        }
    }
    // several, as when two libraries are in one program; and one twice
    let texts = lines.map(|(line, ..)| good(line)).concat() + &good(lines[0].0);
    let several = look(&cc(&folder, "several.s", &texts, &["-c"]));
    let found: Vec<&str> = several.decisions.iter().map(|d| &*d.text).collect();
    assert_eq!(found, lines.map(|(line, ..)| line));
}

/// Where Rust puts strings, there is no NUL between them.
#[test]
fn decision_between_other_strings_is_what_the_macro_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let text = "system (library artifact)";
    let source = format!(
        ".section .rodata\n.balign 4\n.ascii \"alloc-switch\"\n.long 0\n.ascii \"MALLOC_CONF\\015\"\n\
         .balign 4\n.long 13, {}, 1\n.ascii \"alloc-switch\"\n.long 0\n.ascii \"{text}alloc-switch\"\n\
         .long 13, 0x10000000, 1\n.section .note.GNU-stack, \"\", %progbits\n",
        text.len()
    );
    let report = look(&cc(&folder, "data.s", &source, &["-c"]));
    assert_eq!((report.decisions.len(), &*report.decisions[0].text), (1, text));
    assert_eq!(report.advice, [""; 0]);
}

#[test]
fn long_decisions_are_cut_and_many_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let long = format!("{} (executable artifact)", "é".repeat(100_000));
    let source = note("alloc-switch", 13, 1, long.len(), &long);
    let report = look(&cc(&folder, "long.s", &source, &["-c"]));
    let [decision] = &report.decisions[..] else { panic!("{}", report.decisions.len()) };
    assert_eq!(decision.text, format!("{}…", "é".repeat(500)));
    assert_eq!(decision.reason, "executable artifact");

    let many: String = (0..70).map(|number| good(&format!("system ({number})"))).collect();
    let report = look(&cc(&folder, "many.s", &many, &["-c"]));
    assert_eq!(report.decisions.len(), 64);
    assert_eq!(report.advice, ["it has more decisions of alloc-switch's than are shown"]);
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
fn notes_that_are_broken_are_told_of_and_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    for wrong in [
        note("alloc-switch", 13, 2, 23, "system (a kind to come)"),
        note("alloc-switch", 13, 1, 4096, "system (cut short)"),
        note("alloc-switch", 13, 1, 0xffff_ffff, "system (as long as can be)"),
        good(""),
        good("system"),
        good("(no allocator)"),
        good("system ()"),
        note("alloc-switch", 13, 1, 14, "system (\\033[m)"),
        note("alloc-switch", 13, 1, 11, "system (\\377)"),
        note("alloc-switch", 13, 1, 18, "system (two\\nlines)"),
    ] {
        let report = look(&cc(&folder, "note.s", &wrong, &["-c"]));
        assert_eq!(report.decisions, [], "{wrong}");
        let sentence = "it has a note of alloc-switch's that cannot be read";
        assert_eq!(report.advice, [sentence], "{wrong}");
    }
    for other in [
        note("alloc-snitch", 13, 1, 21, "system (not our name)"),
        note("alloc-switch", 12, 1, 14, "system (other)"),
        ".section .note.alloc-switch, \"a\", %note\n.byte 1\n".to_owned(),
        good("system (not loaded)").replace("\"a\"", "\"\""),
    ] {
        let report = look(&cc(&folder, "note.s", &other, &["-c"]));
        assert_eq!((report.decisions, report.advice), (vec![], vec![]), "{other}");
    }
}

/// What the linker may put before jemalloc's own string.
#[test]
fn variable_is_jemallocs_whole_string_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let messages: String =
        MESSAGES.iter().map(|text| format!(".asciz \"{}\\n\"\n", text.escape_default())).collect();
    for (strings, variable) in [
        // alloc-switch's strings, and jemalloc's
        (
            ".asciz \"x\"\n.ascii \"MALLOC_CONF_RJEM_MALLOC_CONF\\0\"\n.asciz \"_RJEM_MALLOC_CONF\"\n",
            "_RJEM_MALLOC_CONF",
        ),
        (".asciz \"\"\n.asciz \"MALLOC_CONF_RJEM_MALLOC_CONF\"\n", "_RJEM_MALLOC_CONF"),
        (".asciz \"RUST_LOG_RJEM_MALLOC_CONF\"\n.asciz \"_RJEM_MALLOC_CONF\"\n", "_RJEM_MALLOC_CONF"),
        (".ascii \"a RUST_LOG_RJEM_MALLOC_CONF\\0\"\n.asciz \"MALLOC_CONF\"\n", "MALLOC_CONF"),
        (".ascii \"some text\"\n.asciz \"_RJEM_MALLOC_CONF\"\n", "_RJEM_MALLOC_CONF"),
        (".asciz \"MALLOC_CONFMALLOC_CONF\"\n", "MALLOC_CONF"),
        (".asciz \"JE_MALLOC_CONF\"\n.asciz \"MALLOC_CONF\"\n", "JE_MALLOC_CONF"),
        (".asciz \"MALLOC_CONF\"\n", "MALLOC_CONF"),
    ] {
        let source = format!(
            ".section .rodata\n{strings}{messages}.section .note.GNU-stack, \"\", %progbits\n"
        );
        let report = look(&cc(&folder, "strings.s", &source, &["-c"]));
        let jemalloc = report.jemalloc.unwrap_or_else(|| panic!("{strings}"));
        assert_eq!(jemalloc.variable, variable, "{strings}");
    }
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
