//! What one crate of a build does to another: Cargo unifies features over all of them.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::hosts::in_c;
use crate::support::{self, fixture, jemalloc, run};
use object::{Object, ObjectSymbol};

/// The names of a file's symbols, static and dynamic.
fn symbols(file: &Path) -> Vec<String> {
    let bytes = fs::read(file).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let all = file.symbols().chain(file.dynamic_symbols());
    all.filter(|symbol| symbol.is_definition()).map(|s| s.name().unwrap().to_owned()).collect()
}

fn has_jemalloc(file: &Path) -> bool {
    symbols(file).iter().any(|name| name.contains("je_malloc") || name.contains("mallocx"))
}

/// Whether the loader has to find room in the static TLS block, which `dlopen` often cannot.
fn has_static_tls(file: &Path) -> bool {
    run(Command::new("readelf").arg("-d").arg(file)).contains("STATIC_TLS")
}

/// One library has jemalloc, and the feature that permits it; built beside it, another that says
/// nothing has none, and its host frees its memory.
#[test]
fn the_feature_of_one_library_is_not_the_vote_of_another() {
    let built = fixture("neighbour").args(["--package", "fixture-plugin"]).build();
    let library = built.file("libfixture_plugin.so");
    assert!(!has_jemalloc(library) && !has_static_tls(library));
    let line = "system (library artifact); Ok(()); box: nobody to ask; strdup: nobody to ask\n";
    let out = in_c(&built, "libfixture_plugin.so", "free");
    assert_eq!(out, format!("{line}{line}done\n"));

    assert!(has_jemalloc(built.file("libfixture_neighbour.so")));
    let line = format!("{}; Ok(())\n", jemalloc("global_allocator!(jemalloc)"));
    let out = in_c(&built, "libfixture_neighbour.so", "plugin_free");
    assert_eq!(out, format!("{line}{line}done\n"));
}

/// The cfg speaks for what nobody knows, and for unlisted targets; not for a library.
#[test]
fn the_cfg_of_a_build_is_no_vote_for_its_libraries() {
    let archive = fixture("app").command("check").build().jemalloc();
    let built = fixture("plugin")
        .args(["--package", "fixture-app", "--bins", "--lib"])
        .rustflags(r#"--cfg alloc_switch="jemalloc""#)
        .prebuilt_jemalloc(&archive)
        .build();
    let library = built.file("libfixture_plugin.so");
    assert!(!has_jemalloc(library) && !has_static_tls(library));
    let out = in_c(&built, "libfixture_plugin.so", "free");
    assert!(out.starts_with("system (library artifact); Ok(())"), "{out}");
    let out = built.run("fixture-app", &[]);
    assert!(out.starts_with("jemalloc (executable artifact)\nOk(())\n"), "{out}");
}

/// Nothing can refuse this library, since it calls no macro. The README says what it must do.
#[test]
fn under_override_malloc_a_library_that_names_a_type_cannot_be_loaded() {
    let archive = fixture("app").features("override-malloc").command("check").build().jemalloc();
    let of = |features: &[&str]| {
        let library = fixture("names-a-type").args(features.iter().copied());
        let built = if features.contains(&"override-malloc") {
            library.prebuilt_jemalloc(&archive).build()
        } else {
            library.build()
        };
        let file = built.file("libfixture_names_a_type.so");
        let host = support::cc("load.c", &built.folder.join("load"), &["-ldl".as_ref()]);
        let out = Command::new(host).arg(file).output().unwrap();
        let out = String::from_utf8(out.stdout).unwrap();
        (has_jemalloc(file), has_static_tls(file), out)
    };
    assert_eq!(of(&[]), (false, false, "0\n".into()));
    let (jemalloc, static_tls, out) = of(&["--features", "override-malloc"]);
    assert!(jemalloc && static_tls);
    assert!(out.contains("cannot allocate memory in static TLS block"), "{out}");
}

/// One that calls the macro is refused.
#[test]
fn under_override_malloc_a_library_that_calls_the_macro_is_refused() {
    let archive = fixture("app").features("override-malloc").command("check").build().jemalloc();
    let library = fixture("plugin").features("override-malloc").prebuilt_jemalloc(&archive);
    let errors = library.errors();
    let sentence = "alloc-switch: the feature `override-malloc` puts a private jemalloc behind \
                    this library artifact's malloc: build the library without it, or write \
                    `global_allocator!(jemalloc)` and turn on the feature `jemalloc-in-libraries`";
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].0.ends_with(sentence), "{errors:?}");
}

/// A library that takes a `Handle` leaves jemalloc to others with `default-features = false`.
#[test]
fn background_threads_bring_no_jemalloc() {
    let with = |arguments: &[&str]| fixture("sound").args(arguments.iter().copied());
    let has_jemalloc = |arguments: &[&str]| {
        let tree = with(arguments).tree();
        assert!(tree.iter().any(|package| package == "alloc-switch"), "{tree:?}");
        tree.iter().any(|package| package.contains("jemalloc"))
    };
    let alone = ["--no-default-features", "--features", "background-threads"];
    assert!(!has_jemalloc(&alone));
    assert!(has_jemalloc(&["--features", "background-threads"]));
    let program = with(&alone).args(["--bin", "vetoed"]).build();
    assert_eq!(program.run("vetoed", &[]), "system (feature jemalloc is off); false\n");
}

/// The cfg of whoever runs Kani, which only compiles.
#[test]
fn kani_gets_the_system_allocator() {
    let program = fixture("sound").rustflags("--cfg kani").args(["--bin", "vetoed"]);
    let tree = fixture("sound").rustflags("--cfg kani").tree();
    assert!(!tree.iter().any(|package| package.contains("jemalloc")), "{tree:?}");
    assert_eq!(program.build().run("vetoed", &[]), "system (cfg(kani)); false\n");
}
