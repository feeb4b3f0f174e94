//! A library in the middle of a graph takes the handle without its type.

use crate::support::{self, fixture, run};

const NOT_HERE: &str = "Err(Unsupported)";

#[test]
fn a_program_on_jemalloc_and_one_on_the_system_allocator() {
    let out = fixture("handled").args(["--bins"]).build().run("fixture-handled", &[]);
    let jemalloc = support::jemalloc("executable artifact");
    assert_eq!(
        out,
        format!("{jemalloc}; allocated: None; by this thread: Some(\"some\"); purge: Ok(())\n")
    );

    let out =
        fixture("handled").args(["--bins"]).features("stats").build().run("fixture-handled", &[]);
    assert_eq!(out, format!("{jemalloc}; allocated: Some(\"some\"); by this thread: Some(\"some\"); purge: Ok(())\n"));

    let built = fixture("handled").args(["--bins", "--no-default-features"]).build();
    let system = built.run("fixture-handled", &[]);
    let (stats, purge) =
        if cfg!(all(target_os = "linux", target_env = "gnu")) || cfg!(target_vendor = "apple") {
            ("Some(\"some\")", "Ok(())")
        } else {
            ("None", NOT_HERE)
        };
    let expected =
        format!("system (feature jemalloc is off); allocated: {stats}; by this thread: None; purge: {purge}\n");
    assert_eq!(system, expected);

    // Where somebody has replaced `malloc`, the C library's counters say nothing.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let preload = support::cc(
            "preload.c",
            &built.folder.join("preload.so"),
            &["-shared".as_ref(), "-fPIC".as_ref()],
        );
        let mut program = std::process::Command::new(built.file("fixture-handled"));
        let replaced = run(program.env("LD_PRELOAD", preload));
        assert!(replaced.contains("allocated: None;"), "{replaced}");
    }
}

/// Every function of the handle is in it, and not one symbol of jemalloc, optimised or not.
#[test]
#[cfg(target_os = "linux")]
fn a_library_on_the_system_allocator_has_no_jemalloc_in_it() {
    let dev = fixture("handled").args(["--lib"]).build();
    let jemalloc = dev.jemalloc.clone().expect("jemalloc was built, and is not linked");
    let release =
        fixture("handled").args(["--lib", "--release"]).prebuilt_jemalloc(&jemalloc).build();
    for (profile, built) in [("dev", dev), ("release", release)] {
        let library = built.file("libfixture_handled.so");
        let symbols = run(std::process::Command::new("nm").arg("-a").arg(library));
        assert!(symbols.contains("handled_report"));
        let found: Vec<_> = symbols
            .lines()
            .filter(|l| ["rjem", "jemalloc", "mallctl"].iter().any(|n| l.contains(n)))
            .filter(|l| !l.contains("6Choice11is_jemalloc")) // it answers false
            .collect();
        assert!(found.is_empty(), "{profile}: {found:#?}");
        let strings = std::fs::read(library).unwrap();
        assert!(
            !strings.windows(10).any(|w| w == b"<jemalloc>"),
            "{profile}: what jemalloc begins its messages with"
        );
    }
}

/// A handle names every function behind it, called or not, and std asks for glibc 2.17.
#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn a_handle_asks_for_no_newer_glibc_than_std_does() {
    use object::{Object, ObjectSymbol};

    let built = fixture("handled").args(["--bins"]).build();
    let program = std::fs::read(built.file("fixture-handled")).unwrap();
    let program = object::File::parse(&*program).unwrap();
    let needed = program.dynamic_symbols().filter(|s| s.is_undefined() && !s.is_weak());
    let needed: Vec<_> = needed.flat_map(|symbol| symbol.name()).collect();
    assert!(needed.contains(&"syscall"), "{needed:?}");
    for newer in ["mallinfo2", "memfd_create"] {
        assert!(!needed.contains(&newer), "{newer}");
    }
}

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn a_library_answers_for_its_own_allocator() {
    let report = |features: &[&str]| {
        let built = fixture("handled").args(["--lib"]).args(features.iter().copied()).build();
        let python = "import ctypes, sys; library = ctypes.CDLL(sys.argv[1]); \
                      library.handled_report.restype = ctypes.c_char_p; print(library.handled_report().decode())";
        run(std::process::Command::new("python3")
            .args(["-c", python])
            .arg(built.file("libfixture_handled.so")))
    };
    assert_eq!(
        report(&[]),
        "system (library artifact); allocated: Some(\"some\"); by this thread: None; purge: Ok(()); usable: true; \
         in place: true; threads: Err(Unsupported); \
         start: Err(Unsupported); stop: Err(Unsupported); dump: Err(Unsupported)\n"
    );
    let jemalloc = support::jemalloc("global_allocator!(jemalloc)");
    assert_eq!(
        report(&["--features", "jemalloc-in-libraries,writes-jemalloc"]),
        format!(
            "{jemalloc}; allocated: Some(\"some\"); by this thread: Some(\"some\"); purge: Ok(()); usable: true; in place: true; \
             threads: Ok(()); start: Err(MissingFeature(\"profiling\")); stop: Err(MissingFeature(\"profiling\")); \
             dump: Err(MissingFeature(\"profiling\"))\n"
        )
    );
}
