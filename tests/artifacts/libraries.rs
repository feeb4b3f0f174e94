//! A library is a guest: it gets the allocator of the process that loads it, and nothing of
//! jemalloc comes along.

use std::ffi::OsStr;
use std::process::Command;

use crate::hosts::{assert_c_prints, assert_clean, assert_no_jemalloc, report};
use crate::support::{self, fixture, jemalloc, run};

const ON_SYSTEM: &str = "system (library artifact); box: nobody to ask; strdup: nobody to ask";

#[test]
fn a_cdylib_hands_out_memory_that_its_host_frees() {
    for profile in [&[][..], &["--config", "profile.dev.package.alloc-switch.opt-level=3"]] {
        let examples = ["--example", "says_nothing", "--example", "with_fallback"];
        let built = fixture("libraries").args(examples).args(profile.iter().copied()).build();
        for library in ["libsays_nothing.so", "libwith_fallback.so"] {
            assert_clean(built.file(library));
            assert_c_prints(&built, library, "free", ON_SYSTEM);
        }
    }
}

#[test]
fn one_build_makes_a_binary_on_jemalloc_and_a_cdylib_on_the_system() {
    for registers in ["", "registers-in-library"] {
        let built = fixture("bin-and-cdylib").features(registers).build();
        assert_clean(built.file("libbin_and_cdylib.so"));
        let line = "system (library artifact)";
        assert_c_prints(&built, "libbin_and_cdylib.so", "free", line);
        // The cdylib is linked in the same build, so only another may link the witness's jemalloc.
        let asks = fixture("bin-and-cdylib").features(&format!("asks-jemalloc,{registers}"));
        let out = asks.args(["--bins"]).build().run("bin-and-cdylib", &[]);
        let program = jemalloc("executable artifact");
        let library = if registers.is_empty() { format!("library: {line}\n") } else { "".into() };
        let expected = format!("{program}\nbox: jemalloc; strdup: not jemalloc\n{library}");
        assert_eq!(out, expected);
        let out = built.run("bin-and-cdylib", &[]);
        assert_eq!(out.lines().next(), Some(&*program), "without the witness");
    }
}

#[test]
fn a_staticlib_leaves_no_jemalloc_in_the_c_program() {
    let built = fixture("libraries")
        .args(["--example", "archive", "--example", "archive_without_a_macro"])
        .build();
    for (archive, line, names_the_crate) in [
        ("libarchive.a", "system (library artifact)", true),
        ("libarchive_without_a_macro.a", "std's default", false),
    ] {
        let archive = built.file(archive);
        // rustc bundles every crate that is named, and with it jemalloc's objects, for nothing.
        assert_eq!(report(archive).has_jemalloc(), names_the_crate, "{}", report(archive));

        let mut args = vec![archive.as_os_str()];
        args.extend(["-lpthread", "-ldl", "-lm", "-lgcc_s"].map(OsStr::new));
        let program = support::cc("archive.c", &built.folder.join("program"), &args);
        assert_no_jemalloc(&program);
        assert_eq!(run(&mut Command::new(program)), format!("{line}; usable: 1\ndone\n"));
    }
}

/// rustc loads a procedural macro with `dlopen`, and one on jemalloc would stop the build there.
#[test]
fn a_proc_macro_gets_the_system_allocator_and_its_user_jemalloc() {
    let archive = fixture("every-program").command("check").build().jemalloc();
    // A dependency of the compiler's is built apart, and would compile a jemalloc of its own.
    let examples = fixture("proc-macro-and-user").args(["--examples", "--lib"]);
    let built = examples.prebuilt_jemalloc(&archive).build();
    let the_macro = "macro: system (procedural macro)\n";
    assert_eq!(
        built.run("on_jemalloc", &[]),
        format!("{the_macro}program: jemalloc (executable artifact), large blocks aligned: true\n")
    );
    assert_eq!(built.run("registers_nothing", &[]), the_macro);
    let library = built.file("libproc_macro_and_user.so");
    assert_no_jemalloc(library);
    assert!(!report(library).static_tls);
}

/// The program's own `std` is then the shared one, which no build script can see; the self-check
/// can.
#[test]
fn the_user_of_a_dylib_is_told_the_truth() {
    let run_user = |features: &[&str]| {
        let built = fixture("uses-a-dylib").args(features.iter().copied()).build();
        let path = std::env::join_paths([&built.folder, &support::shared_std()]).unwrap();
        let mut program = Command::new(built.file("uses-a-dylib"));
        let out = program.env("LD_LIBRARY_PATH", path).output().unwrap();
        let needed = report(built.file("libdylib.so")).needed;
        (out.status.code(), String::from_utf8(out.stdout).unwrap(), needed)
    };

    let (code, out, _) = run_user(&[]);
    assert_eq!(code, Some(3), "{out}");
    assert!(out.starts_with(&format!("{}\nStd(", jemalloc("executable artifact"))), "{out}");
    assert!(out.contains("std is shared"), "{out}");

    let (code, out, needed) = run_user(&["--features", "registers-in-library"]);
    assert_eq!((code, out.as_str()), (Some(0), "system (library artifact)\nOk(())\nhello dylib\n"));
    assert!(needed.iter().any(|name| name.0.starts_with(b"libstd-")), "{needed:?}");
}
