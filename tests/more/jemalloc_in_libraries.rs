//! The feature `jemalloc-in-libraries`, for a library that asks for jemalloc.

use std::process::Command;

use crate::hosts::{assert_c_prints, assert_clean, report};
use crate::support::{fixture, jemalloc, run, Built, Fixture};
use crate::ROOT;

/// What CPython prints that loads the library. Needs python3.
#[track_caller]
fn assert_python_prints(built: &Built, library: &str, give_back: &str, line: &str) {
    let mut python = Command::new("python3");
    python.arg(format!("{ROOT}/tests/more/host.py")).arg(built.file(library)).arg(give_back);
    assert_eq!(run(&mut python), format!("{line}\ndone\n"));
}

fn libraries(features: &str, examples: &[&str]) -> Fixture {
    let features = format!("jemalloc-in-libraries{features}");
    let examples = examples.iter().flat_map(|example| ["--example", example]);
    fixture("libraries").features(&features).args(examples)
}

#[test]
fn a_cdylib_with_jemalloc_can_be_loaded() {
    let built = libraries(",asks-jemalloc", &["says_jemalloc"]).build();
    let library = "libsays_jemalloc.so";
    let found = report(built.file(library));
    assert!(found.jemalloc.is_some_and(|jemalloc| jemalloc.prefixed) && !found.static_tls);
    let line = jemalloc("global_allocator!(jemalloc)");
    let line = format!("{line}; box: jemalloc; strdup: not jemalloc");
    assert_c_prints(&built, library, "plugin_free", &line);
    assert_python_prints(&built, library, "plugin_free", &line);
}

/// The feature permits and never votes: Cargo turns it on for a sibling in the same build too.
#[test]
fn the_feature_of_one_library_is_not_the_vote_of_another() {
    let built = libraries("", &["says_jemalloc", "says_nothing", "with_fallback"]).build();
    assert!(report(built.file("libsays_jemalloc.so")).has_jemalloc());
    for library in ["libsays_nothing.so", "libwith_fallback.so"] {
        assert_clean(built.file(library));
        let line = "system (library artifact); box: nobody to ask; strdup: nobody to ask";
        assert_c_prints(&built, library, "free", line);
        assert_python_prints(&built, library, "free", line);
    }
}

/// The handle of a library is its own allocator's.
#[test]
fn a_library_answers_for_its_own_allocator() {
    let built = fixture("uses-a-handle")
        .args(["--example", "plugin_with_a_handle"])
        .features("jemalloc-in-libraries,writes-jemalloc")
        .build();
    let line = format!(
        "{}; Ok(()); allocated: Some(\"some\"); by this thread: Some(\"some\"); purge: Ok(()); \
         usable: true; in place: true; threads: Ok(()); start: Err(MissingOption(\"prof:true\")); \
         dump: Err(MissingOption(\"prof:true\"))",
        jemalloc("global_allocator!(jemalloc)")
    );
    assert_c_prints(&built, "libplugin_with_a_handle.so", "plugin_free", &line);
}
