//! The third seat, with allocators from the registry.
//!
//! The target of this machine is on the list, so the fallback is seen where a compiler says that it
//! builds for the vendor openwrt. Cargo, the build script and the rule then know an unlisted
//! target, and what is built runs here.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};

use crate::hosts::in_c;
use crate::support::{self, fixture, jemalloc, note, run, Fixture};
use object::{Object, ObjectSection};

const UNLISTED: &str = "target not on the jemalloc list";

/// A rustc that tells Cargo of another vendor.
fn unlisted_rustc() -> &'static Path {
    static SCRIPT: OnceLock<PathBuf> = OnceLock::new();
    SCRIPT.get_or_init(|| {
        let rustc = env::var("RUSTC").unwrap_or("rustc".into());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("unlisted");
        let script = folder.join("rustc");
        let text = format!(
            "#!/bin/sh\ncase \"$*\" in\n*--print=cfg*) '{rustc}' \"$@\" | \
             sed 's/^target_vendor=\"unknown\"/target_vendor=\"openwrt\"/' ;;\n\
             *) exec '{rustc}' \"$@\" ;;\nesac\n"
        );
        support::script(&script, &text);
        script
    })
}

fn unlisted(name: &str) -> Fixture {
    fixture(name)
        .env("RUSTC", unlisted_rustc().to_str().unwrap())
        .env("CARGO_TARGET_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/unlisted/target"))
}

/// The forms that register mimalloc in the third seat, and whether they are named.
const FORMS: [(&str, bool); 5] = [
    ("unnamed", false),
    ("unnamed_cfg", false),
    ("named", true),
    ("named_cfg_conf", true),
    ("jemalloc_conf_after", true),
];

#[test]
fn an_unlisted_target_gets_the_fallback() {
    let tree = unlisted("third").tree();
    assert!(!tree.iter().any(|package| package.contains("jemalloc")), "{tree:?}");
    let built = unlisted("third").build();
    let line = format!("mimalloc::MiMalloc ({UNLISTED})");
    for (program, is_named) in FORMS {
        let check = if is_named { "; Ok(())" } else { "" };
        assert_eq!(built.run(program, &[]), format!("{line}; mimalloc{check}\n"), "{program}");
        assert_eq!(note(built.file(program)), line, "{program}");
    }
    assert_eq!(built.run("wrapped", &[]), format!("{line}; mimalloc; Ok(())\n"));
    // The fallback is for another target still.
    let system = format!("system ({UNLISTED})");
    assert_eq!(built.run("elsewhere", &[]), format!("{system}; not mimalloc; Ok(())\n"));
    assert_eq!(note(built.file("elsewhere")), system);
    // A fallback with a size is itself in the static.
    let out = built.run("with_room", &[]);
    assert!(out.starts_with("cap::Cap<mimalloc::MiMalloc> (target not"), "{out}");
    assert!(out.ends_with("; mimalloc; limited: true\n"), "{out}");
    let out = built.run("stats_fallback", &[]);
    assert!(out.starts_with("&stats_alloc::StatsAlloc<std::alloc::System> (target"), "{out}");
    assert!(out.ends_with("; counted: true\n"), "{out}");
    // An allocator of one's own is used everywhere.
    assert_eq!(built.run("custom_mimalloc", &[]), "mimalloc\n");
    assert_eq!(built.run("custom_stats", &[]), "counted: true\n");
    assert_eq!(built.run("custom_cap", &[]), format!("{system}; limited: true\n"));
}

#[test]
fn a_listed_target_gets_jemalloc() {
    let built = fixture("third").build();
    let line = jemalloc("executable artifact");
    for (program, is_named) in FORMS {
        let line = match program {
            "jemalloc_conf_after" => jemalloc("global_allocator!(jemalloc)"),
            _ => line.clone(),
        };
        let check = if is_named { "; Ok(())" } else { "" };
        assert_eq!(built.run(program, &[]), format!("{line}; not mimalloc{check}\n"), "{program}");
        assert_eq!(note(built.file(program)), line, "{program}");
    }
    for program in ["wrapped", "elsewhere"] {
        let out = built.run(program, &[]);
        assert_eq!(out, format!("{line}; not mimalloc; Ok(())\n"), "{program}");
    }
    let out = built.run("with_room", &[]);
    assert_eq!(out, format!("{line}; not mimalloc; limited: false\n"));
    assert_eq!(built.run("stats_fallback", &[]), format!("{line}; counted: false\n"));
    assert_eq!(built.run("custom_mimalloc", &[]), "mimalloc\n");
    assert_eq!(built.run("custom_stats", &[]), "counted: true\n");
    assert_eq!(built.run("custom_cap", &[]), format!("{line}; limited: true\n"));
}

/// Compiled from C++: `apt-get install g++`.
#[test]
fn snmalloc_is_a_fallback_and_ones_own() {
    let programs = ["--bin", "snmalloc_fallback", "--bin", "snmalloc_custom"];
    let built = unlisted("third").features("snmalloc").args(programs).build();
    let line = format!("snmalloc_rs::SnMalloc ({UNLISTED}); Ok(())\n");
    assert_eq!(built.run("snmalloc_fallback", &[]), line);
    assert_eq!(built.run("snmalloc_custom", &[]), "done\n");
    for program in ["snmalloc_fallback", "snmalloc_custom"] {
        let out = run(Command::new("nm").arg(built.file(program)));
        assert!(out.contains("sn_rust_alloc"), "{program} has no snmalloc");
    }
}

/// Every other veto beats the fallback, on an unlisted target too.
#[test]
fn a_veto_gives_the_system_allocator() {
    let vetoed = |flags: &str, arguments: &[&str]| {
        let program = unlisted("sound").args(["--bin", "vetoed"]).rustflags(flags);
        program.args(arguments.iter().copied()).build().run("vetoed", &[])
    };
    let type_name = "vetoed::Counted";
    assert_eq!(vetoed("", &[]), format!("{type_name} ({UNLISTED}); true\n"));
    for (flags, reason) in [
        (r#"--cfg alloc_switch="system""#, r#"--cfg alloc_switch="system""#),
        ("--cfg kani", "cfg(kani)"),
        ("--cfg fuzzing", "cfg(fuzzing)"),
    ] {
        assert_eq!(vetoed(flags, &[]), format!("system ({reason}); false\n"), "{flags}");
    }
    let out = vetoed("", &["--no-default-features"]);
    assert_eq!(out, "system (feature jemalloc is off); false\n");

    // A sanitizer is for the program alone, so the target is named; stable has it under lock.
    let target = concat!(env!("CARGO_TARGET_TMPDIR"), "/unlisted/sanitizer");
    let sanitized = unlisted("sound")
        .args(["--bin", "vetoed", "--target", &format!("{}-unknown-linux-gnu", env::consts::ARCH)])
        .env("CARGO_TARGET_DIR", target)
        .env("RUSTC_BOOTSTRAP", "1")
        .rustflags("-Zsanitizer=address")
        .build();
    assert_eq!(sanitized.run("vetoed", &[]), "system (sanitizer); false\n");

    let dynamic = unlisted("sound").args(["--bin", "vetoed"]).rustflags("-Cprefer-dynamic").build();
    let mut dynamic = Command::new(dynamic.file("vetoed"));
    let out = run(dynamic.env("LD_LIBRARY_PATH", support::shared_std()));
    assert_eq!(out, "system (-C prefer-dynamic); false\n");
}

/// A library keeps its host's allocator, whatever stands in the third seat.
#[test]
fn a_library_gets_the_system_allocator() {
    let built = unlisted("sound").args(["--example", "with_fallback"]).build();
    let out = in_c(&built, "libwith_fallback.so", "free");
    assert!(out.starts_with(&format!("system ({UNLISTED})")), "{out}");
}

/// The instructions of the program in release, and what it prints.
fn text(program: Fixture, name: &str) -> (Vec<u8>, String) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("seats-cost");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(name);
    let emit = format!("--emit=link={}", file.display());
    // One unit lays the functions out in one order.
    let program = program.args(["--release", "--features", name]);
    let out = program.rustc(["-Ccodegen-units=1", &emit]).output();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let bytes = fs::read(&file).unwrap();
    let object = object::File::parse(&*bytes).unwrap();
    let section = object.section_by_name(".text").unwrap();
    (section.data().unwrap().to_vec(), run(&mut Command::new(file)))
}

/// The machine code is that of the block which one would write by hand, and where the seat is taken
/// too.
#[test]
fn neither_a_seat_nor_executable_costs_anything() {
    let jemalloc = fixture("app").build().jemalloc();
    let program = || fixture("seats-cost").prebuilt_jemalloc(&jemalloc);
    let by_hand = text(program(), "by-hand");
    assert!(by_hand.0.len() > 300_000, "{} bytes do not hold jemalloc", by_hand.0.len());
    for form in ["fallback", "executable"] {
        assert!(text(program(), form) == by_hand, "{form}: the programs differ");
    }
    let by_hand = text(unlisted("seats-cost"), "mimalloc-by-hand");
    let fallback = text(unlisted("seats-cost"), "unlisted");
    assert!(fallback == by_hand, "unlisted: the programs differ");
}
