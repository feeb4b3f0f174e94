//! The seeds of the fuzzer (`fuzz/make-seeds`): small real files of each format and kind, most made
//! by other tools than this machine has.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use alloc_inspect::{inspect, inspect_all, inspect_path, Malloc, Name, Report, Sureness};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds")
}

fn look(name: &str) -> Report {
    inspect(&fs::read(folder().join(name)).unwrap()).unwrap()
}

#[test]
fn each_is_what_it_was_made_to_be() {
    let expected = BTreeMap::from([
        ("bitcode.a", "an archive of LLVM bitcode, which is not read"),
        ("coff.obj", "PE object, mimalloc 3"),
        ("elf-aarch64-pages-12.so", "ELF shared library, jemalloc 5.3.1 prefixed, can be dlopened"),
        ("elf-aarch64-pages-16.so", "ELF shared library, jemalloc 5.3.1 prefixed, can be dlopened"),
        ("elf-archive.a", "ELF archive, jemalloc 5.3.1 prefixed and mimalloc 3"),
        ("elf-i686.so", "ELF shared library, mimalloc 3, can be dlopened"),
        (
            "elf-library-static-tls.so",
            "ELF shared library, jemalloc 5.3.1 unprefixed, cannot in general be dlopened (0x800 bytes \
             of static TLS)",
        ),
        ("elf-lto.o", "ELF object, unknown (none of the known ones, and no malloc)"),
        ("elf-musl-static", "ELF executable, mimalloc 3"),
        ("elf-object.o", "ELF object, jemalloc 5.3.1 prefixed"),
        ("elf-program", "ELF executable, jemalloc 5.3.1 prefixed"),
        ("elf-program-stripped", "ELF executable, jemalloc 5.3.1 prefixed"),
        ("elf-s390x.o", "ELF object, jemalloc 5.3.1 prefixed"),
        ("elf-static-pie", "ELF executable, jemalloc 5.3.1 unprefixed"),
        ("elf-thin.a", "a thin archive, whose members are files elsewhere"),
        ("macho-arm64.o", "Mach-O object, jemalloc 5.3.1 prefixed"),
        ("macho-library.dylib", "Mach-O shared library, mimalloc 3, can be dlopened"),
        (
            "macho-universal",
            "Mach-O shared library, mimalloc 3, can be dlopened; Mach-O object, jemalloc 5.3.1 prefixed",
        ),
        ("macho-x86_64.o", "Mach-O object, jemalloc 5.3.1 prefixed"),
        ("module.wasm", "WebAssembly module, mimalloc 3"),
        ("pe.dll", "PE shared library, mimalloc 3, can be dlopened"),
        ("pe.exe", "PE executable, mimalloc 3"),
        ("wasm-object.o", "WebAssembly module, mimalloc 3"),
    ]);
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let text = match inspect_all(&fs::read(&path).unwrap()) {
            Ok(reports) => reports.iter().map(Report::to_string).collect::<Vec<_>>().join("; "),
            Err(error) => error.to_string(),
        };
        found.insert(path.file_name().unwrap().to_str().unwrap().to_owned(), text);
    }
    let found: BTreeMap<&str, &str> =
        found.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_program_says_all_that_it_knows() {
    let report = look("elf-program");
    assert_eq!((report.architecture.as_str(), report.malloc), ("x86_64", Malloc::Imported));
    assert_eq!(report.needed, [Name(b"libc.so.6".to_vec())]);
    let jemalloc = report.jemalloc.unwrap();
    assert_eq!(jemalloc.variable, "_RJEM_MALLOC_CONF");
    assert_eq!(jemalloc.options_symbol, "_rjem_malloc_conf");
    assert_eq!(jemalloc.options.as_deref(), Some("narenas:3,dirty_decay_ms:777"));
    assert_eq!((jemalloc.profiling, jemalloc.statistics), (Some(false), Some(true)));
    assert!(!jemalloc.debug);
    assert_eq!(report.decisions.len(), 1);
    assert_eq!(report.decisions[0].allocator, "jemalloc 5.3.1");
    assert_eq!(report.decisions[0].reason, "executable artifact");
    let ignored = "the options in malloc_conf (\"narenas:9\") are ignored: this jemalloc reads \
                   _rjem_malloc_conf";
    assert_eq!(report.advice, [ignored]);
    assert_eq!(report.allocators.len(), 1);
    assert_eq!(report.allocators[0].sureness, Sureness::Certain);
    assert_eq!(report.allocators[0].evidence, "6 of 6 messages, its variable");

    // What strip leaves is enough for everything but the options.
    let stripped = look("elf-program-stripped");
    assert_eq!(stripped.decisions, report.decisions);
    let left = stripped.jemalloc.unwrap();
    assert_eq!((left.version, left.options), (jemalloc.version, None));
}

#[test]
fn a_static_program_has_the_allocator_of_its_c_library_besides() {
    let report = look("elf-musl-static");
    let names: Vec<_> = report.allocators.iter().map(|c| c.allocator.name()).collect();
    assert_eq!(names, ["mimalloc", "mallocng"]);
    assert!(!report.is_system());
    let own = look("elf-static-pie");
    assert_eq!((own.malloc, own.needed.len()), (Malloc::Own, 0));
}

#[test]
fn the_members_of_a_thin_archive_are_beside_it() {
    let reports = inspect_path(&folder().join("elf-thin.a")).unwrap();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].to_string(), "ELF archive, jemalloc 5.3.1 prefixed");

    let elsewhere = tempfile::tempdir().unwrap();
    let lonely = elsewhere.path().join("lonely.a");
    fs::copy(folder().join("elf-thin.a"), &lonely).unwrap();
    let member = elsewhere.path().join("elf-object.o");
    assert_eq!(
        inspect_path(&lonely).unwrap_err().to_string(),
        format!(
            "a thin archive whose member {} cannot be read: there is no such file",
            member.display()
        )
    );
}

#[test]
fn page_sizes_on_64_bit_arm() {
    let [small, large] = [12, 16].map(|pages| look(&format!("elf-aarch64-pages-{pages}.so")));
    assert_eq!(small.jemalloc.as_ref().unwrap().page_size, Some(4096));
    assert_eq!(large.jemalloc.as_ref().unwrap().page_size, Some(65536));
    let only =
        "its jemalloc was built for pages of up to 4 KiB: on a kernel with pages of 16 or 64 \
                KiB it aborts (\"Unsupported system page size\"); built with \
                JEMALLOC_SYS_WITH_LG_PAGE=16 it runs on all";
    assert_eq!(small.advice, [only]);
    assert_eq!(large.advice, [""; 0]);
    // Kernels of other architectures do not differ.
    assert_eq!(look("elf-program-stripped").jemalloc.unwrap().page_size, None);
}

#[test]
fn why_it_cannot_be_dlopened_and_what_to_do() {
    let report = look("elf-library-static-tls.so");
    assert_eq!((report.can_be_dlopened(), report.tls_size), (Some(false), 2048));
    let [advice] = &report.advice[..] else { panic!("{:?}", report.advice) };
    assert!(advice.contains("it wants 2048 bytes of static TLS"), "{advice}");
    assert!(advice.contains("override-malloc"), "{advice}");
    assert!(advice.contains("build the library by itself"), "{advice}");
}
