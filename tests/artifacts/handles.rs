//! The layers `handle` and `in-place` in real artifacts: a library in the middle of a graph takes
//! the handle without its type. What the functions do is in tests/runtime.

use std::fs;
use std::process::Command;

use crate::hosts::{assert_c_prints, assert_clean};
use crate::support::{self, fixture, jemalloc, run};
use object::{Object, ObjectSymbol};

#[test]
fn a_metrics_library_asks_whichever_allocator_the_program_has() {
    let program = || fixture("uses-a-handle").args(["--bin", "uses-a-handle"]);
    let line = jemalloc("executable artifact");
    assert_eq!(
        program().build().run("uses-a-handle", &[]),
        format!("{line}; Ok(()); allocated: None; by this thread: Some(\"some\"); purge: Ok(())\n")
    );
    let system = program().args(["--no-default-features"]).build();
    let line = "system (feature jemalloc is off); Ok(())";
    let (allocated, purge) = match cfg!(target_env = "gnu") {
        true => ("Some(\"some\")", "Ok(())"),
        false => ("None", "Err(Unsupported)"),
    };
    assert_eq!(
        system.run("uses-a-handle", &[]),
        format!("{line}; allocated: {allocated}; by this thread: None; purge: {purge}\n")
    );
    // Where somebody has replaced `malloc`, the C library's counters say nothing.
    #[cfg(target_env = "gnu")]
    {
        let preload = system.folder.join("preload.so");
        let preload = support::cc("preload.c", &preload, &["-shared".as_ref(), "-fPIC".as_ref()]);
        let mut program = Command::new(system.file("uses-a-handle"));
        let replaced = run(program.env("LD_PRELOAD", preload));
        let expected = "allocated: None; by this thread: None; purge: Err(Unsupported)\n";
        assert!(replaced.ends_with(expected), "{replaced}");
    }
}

/// A self-check asks no allocator about an address, so that whatever is registered, it may be
/// called. Each of the programs is `#![forbid(unsafe_code)]`.
#[test]
fn a_self_check_touches_nobody_elses_blocks() {
    for (built, jemalloc) in fixture("uses-a-handle").args(["--bins"]).dev_and_release() {
        let not_system = r#"Err(Artifact(Choice { name: "system", reason: MacroSystem }))"#;
        let not_jemalloc = r#"Err(Artifact(Choice { name: "jemalloc", reason: Executable }))"#;

        let out = built.run("not_registered", &[]);
        assert_eq!(out, format!("{jemalloc}: Ok(())\n{not_system}\n"));
        let out = built.run("wrapped_jemalloc", &[]);
        assert_eq!(out, format!("{jemalloc}: Ok(())\n{not_system}\n"));
        let out = built.run("wrapped_system", &[]);
        let system = "system (global_allocator!(system))";
        assert_eq!(out, format!("{system}: Ok(())\n{not_jemalloc}\n"));
    }
}

/// A block of 25 bytes grows where it stands, and a copy of the new pointer reads what was written
/// through the other one. The optimiser is what used to go wrong, so this is built in release.
#[test]
#[cfg(all(target_env = "gnu", target_pointer_width = "64"))]
fn a_block_that_grew_is_read_as_it_was_written() {
    let archive = fixture("every-program").command("check").build().jemalloc();
    let program = fixture("uses-a-handle").features("registers-in-library");
    let program = program.args(["--release", "--bin", "grow_in_place"]);
    let program = program.prebuilt_jemalloc(&archive).build();
    let grown = ["System", "Chosen", "std::alloc::alloc", "dyn System", "dyn Chosen"]
        .map(|of| format!("{of}: 1 0\n"));
    assert_eq!(program.run("grow_in_place", &[]), format!("jemalloc\n{}", grown.concat()));
}

/// Every function of the handle is in it, and not one symbol of jemalloc, optimised or not.
#[test]
fn a_library_that_uses_everything_has_no_jemalloc_in_it() {
    let library = || fixture("uses-a-handle").args(["--example", "plugin_with_a_handle"]);
    let dev = library().build();
    let release = library().args(["--release"]).prebuilt_jemalloc(&dev.jemalloc()).build();
    for built in [&dev, &release] {
        assert_clean(built.file("libplugin_with_a_handle.so"));
    }
    let line = "system (library artifact); Ok(()); allocated: Some(\"some\"); by this thread: \
                None; purge: Ok(()); usable: true; in place: true; threads: Err(Unsupported); \
                start: Err(Unsupported); dump: Err(Unsupported)";
    assert_c_prints(&dev, "libplugin_with_a_handle.so", "free", line);
}

/// A handle names every function behind it, called or not, and std asks for glibc 2.17.
#[test]
#[cfg(target_env = "gnu")]
fn a_handle_asks_for_no_newer_glibc_than_std_does() {
    let built = fixture("uses-a-handle").args(["--bin", "uses-a-handle"]).build();
    let program = fs::read(built.file("uses-a-handle")).unwrap();
    let program = object::File::parse(&*program).unwrap();
    let needed = program.dynamic_symbols().filter(|s| s.is_undefined() && !s.is_weak());
    let needed: Vec<_> = needed.flat_map(|symbol| symbol.name()).collect();
    assert!(needed.contains(&"malloc"), "{needed:?}");
    for newer in ["mallinfo2", "memfd_create"] {
        assert!(!needed.contains(&newer), "{newer}");
    }
}
