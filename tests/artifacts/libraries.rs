//! A library is a guest: it gets the allocator of the process that loads it, and nothing of
//! jemalloc comes along.

use std::ffi::OsStr;
use std::process::Command;

use crate::hosts::{assert_clean, assert_hosts_print, in_hosts, report, PLUGIN};
use crate::support::{self, fixture, jemalloc, run};

#[test]
fn a_cdylib_hands_out_memory_that_its_host_frees() {
    for profile in [&[][..], &["--config", "profile.dev.package.alloc-switch.opt-level=3"]] {
        let built = fixture("plugin").args(profile.iter().copied()).build();
        assert_clean(built.file("libfixture_plugin.so"), &PLUGIN);
        let line = "system (library artifact); Ok(()); box: nobody to ask; strdup: nobody to ask";
        assert_hosts_print(in_hosts(&built, "libfixture_plugin.so", "free"), line);
    }
}

#[test]
fn one_build_makes_a_binary_on_jemalloc_and_a_cdylib_on_the_system() {
    for (features, library_says) in [("witness", ""), ("witness,registers-in-library", "; Ok(())")]
    {
        // the cdylib is linked in the same build, so the witness may not be in it
        let built = fixture("both")
            .features(features.trim_start_matches("witness").trim_start_matches(','))
            .build();
        assert_clean(built.file("libfixture_both.so"), &PLUGIN);
        let line = format!("system (library artifact){library_says}");
        assert_hosts_print(in_hosts(&built, "libfixture_both.so", "free"), &line);

        let out = fixture("both")
            .args(["--bins", "--features", features])
            .build()
            .run("fixture-both", &[]);
        let program = format!(
            "{}\nOk(())\nbox: jemalloc; strdup: not jemalloc\n",
            jemalloc("executable artifact")
        );
        assert!(out.starts_with(&program), "{out}");
        assert_eq!(
            out.contains("library: system (library artifact)"),
            library_says.is_empty(),
            "{out}"
        );
        assert_eq!(
            built.run("fixture-both", &[]).lines().next(),
            out.lines().next(),
            "with and without the witness"
        );
    }
}

#[test]
fn a_staticlib_leaves_no_jemalloc_in_the_c_program() {
    let system_libraries: Vec<&OsStr> =
        ["-lpthread", "-ldl", "-lm", "-lgcc_s"].map(OsStr::new).to_vec();
    for (with_macro, line) in
        [(true, "system (library artifact); Ok(())"), (false, "std's default")]
    {
        let macro_features: &[&str] =
            if with_macro { &[] } else { &["--no-default-features", "--features", "jemalloc"] };
        let built = fixture("archive").args(macro_features.iter().copied()).build();
        let archive = built.file("libfixture_archive.a");
        // rustc bundles every crate that is named, and with it jemalloc's objects, for nothing
        assert_eq!(report(archive).has_jemalloc(), with_macro, "{}", report(archive));

        let mut args = vec![archive.as_os_str()];
        args.extend(&system_libraries);
        let program = support::cc("archive.c", &built.folder.join("program"), &args);
        assert!(!report(&program).has_jemalloc());
        assert_eq!(report(&program).jemalloc_symbols, [""; 0]);
        assert_eq!(run(&mut Command::new(program)), format!("{line}; usable: 1\ndone\n"));
    }
}

/// rustc loads a procedural macro with `dlopen`, and a macro on jemalloc would stop the build
/// there.
#[test]
fn a_proc_macro_gets_the_system_allocator_and_its_user_jemalloc() {
    let archive = fixture("app").build().jemalloc();
    let program = "program: jemalloc (executable artifact); Ok(())\n";
    for (features, program) in [("", program), ("leaves-it-to-the-macro", "")] {
        // a dependency of the compiler's is built apart, and would compile a jemalloc of its own
        let built = fixture("derive-user").features(features).prebuilt_jemalloc(&archive).build();
        let out = built.run("fixture-derive-user", &[]);
        assert_eq!(out, format!("macro: system (procedural macro); Ok(())\n{program}"));
        let library = report(built.file("libfixture_derive.so"));
        assert!(!library.has_jemalloc() && !library.static_tls, "{library}");
    }
}

/// The program's own `std` is then the shared one, which no build script can see; the self-check
/// can.
#[test]
fn the_user_of_a_dylib_is_told_the_truth() {
    let run_user = |features: &[&str]| {
        let built = fixture("shared-user").args(features.iter().copied()).build();
        let path = std::env::join_paths([&built.folder, &support::shared_std()]).unwrap();
        let out = Command::new(built.file("fixture-shared-user"))
            .env("LD_LIBRARY_PATH", path)
            .output()
            .unwrap();
        (
            out.status.code(),
            String::from_utf8(out.stdout).unwrap(),
            report(built.file("libfixture_shared.so")),
        )
    };

    let (code, out, _) = run_user(&[]);
    assert_eq!(code, Some(3), "{out}");
    assert!(out.starts_with(&format!("{}\nStd(", jemalloc("executable artifact"))), "{out}");
    assert!(
        out.contains(
            "memory allocated inside the standard library does not come from it: std is shared"
        ),
        "{out}"
    );

    let (code, out, library) = run_user(&["--features", "registers-in-library"]);
    assert_eq!((code, out.as_str()), (Some(0), "system (library artifact)\nOk(())\nhello dylib\n"));
    assert!(library.needed.iter().any(|n| n.starts_with("libstd-")), "{library}");
    println!("dylib: {library}");
}
