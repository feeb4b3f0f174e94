//! Bazel, Buck2, Meson and Nix call rustc themselves: this compiles the crate, its build script and
//! a program as they do, without one of the variables that tell Cargo's artifacts apart.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::support::{bare, build_script, fixture, jemalloc, run, ROOT};

fn rustc(folder: &Path) -> Command {
    rustc_edition(folder, "2021")
}

fn rustc_edition(folder: &Path, edition: &str) -> Command {
    let mut rustc = bare(env::var_os("RUSTC").unwrap_or("rustc".into()));
    rustc.args(["--edition", edition, "-L"]).arg(folder).arg("--out-dir").arg(folder);
    rustc.current_dir(folder);
    // What rules_rust gives to every crate, and looks like Cargo.
    rustc.envs([
        ("CARGO_CRATE_NAME", "program"),
        ("CARGO_PKG_NAME", "program"),
        ("CARGO_MANIFEST_DIR", ROOT),
    ]);
    rustc
}

/// `--cfg alloc_switch="jemalloc"`, as Cargo hands rustc's flags to a build script.
const FORCED: &str = "--cfg\x1falloc_switch=\"jemalloc\"";

/// A folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("plain-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Where Cargo keeps the source of a dependency.
fn source_of(package: &str) -> PathBuf {
    let metadata = run(Command::new(env!("CARGO")).current_dir(ROOT).args([
        "metadata",
        "--format-version=1",
        "--all-features",
        "--locked",
    ]));
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    let package =
        metadata["packages"].as_array().unwrap().iter().find(|p| p["name"] == package).unwrap();
    Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned()
}

#[test]
fn a_program_that_cargo_does_not_build_gets_what_it_or_its_builder_says() {
    let folder = folder("rustc");
    let archive = fixture("every-program").command("check").build().jemalloc();
    let archive = archive.parent().unwrap();

    for (package, extra) in [
        ("cfg-if", &[][..]),
        ("libc", &["--cfg", "feature=\"std\""]),
        (
            "tikv-jemalloc-sys",
            &["--cfg", "prefixed", "-l", "static=jemalloc_pic", "--extern", "libc=liblibc.rlib"],
        ),
        ("tikv-jemallocator", &["--extern", "libc=liblibc.rlib", "--extern", "tikv_jemalloc_sys"]),
    ] {
        let name = package.replace('-', "_");
        let source = source_of(package).join("src/lib.rs");
        run(rustc(&folder)
            .args(["--crate-type", "rlib", "--cap-lints", "allow", "--crate-name", &name])
            .args(extra)
            .arg("-L")
            .arg(archive)
            .arg(source));
    }

    let mut script =
        build_script(&folder, "x86_64-unknown-linux-gnu x86_64 unknown linux gnu little");
    let said = run(script.env("DEP_JEMALLOC_ROOT", archive.parent().unwrap()));
    let program = |library: &[&str], program: &[&str]| {
        let mut lib = rustc(&folder);
        lib.env("OUT_DIR", &folder).args(["--crate-type", "rlib", "--crate-name", "alloc_switch"]);
        lib.args(["--cfg", "feature=\"jemalloc\"", "--extern", "cfg_if=libcfg_if.rlib"]);
        lib.args(["--extern", "tikv_jemalloc_sys", "--extern", "tikv_jemallocator"]);
        for line in said.lines() {
            if let Some(cfg) = line.strip_prefix("cargo:rustc-cfg=") {
                lib.args(["--cfg", cfg]);
            }
        }
        run(lib.args(library).arg(Path::new(ROOT).join("src/lib.rs")));
        let source = Path::new(ROOT).join("tests/artifacts/without_cargo/program.rs");
        // In the newest edition, where attributes that name symbols are unsafe.
        run(rustc_edition(&folder, "2024")
            .args(["--extern", "alloc_switch"])
            .args(program)
            .arg(source));
        let args: &[&str] = if program.contains(&"--test") { &["--nocapture", "-q"] } else { &[] };
        run(bare(folder.join("program")).args(args))
    };

    // Nothing tells what it is.
    let line = program(&[], &[]);
    assert_eq!(line, "system (unknown artifact, not built by Cargo)\n");
    // Nor does a Cargo that runs the build from outside.
    let mut inner = rustc_edition(&folder, "2024");
    inner.env("CARGO", env!("CARGO")).env_remove("CARGO_CRATE_NAME");
    run(inner
        .args(["--extern", "alloc_switch"])
        .arg(Path::new(ROOT).join("tests/artifacts/without_cargo/program.rs")));
    assert_eq!(run(&mut bare(folder.join("program"))), line);
    // Nobody forgets `--test`.
    let lines = program(&[], &["--test"]);
    assert!(lines.contains(&jemalloc("executable artifact")), "{lines}");
    // The program asks, or whoever builds does.
    let line = program(&[], &["--cfg", "ask"]);
    assert_eq!(line, format!("{}\n", jemalloc("global_allocator!(jemalloc)")));
    let line = program(&["--cfg", "alloc_switch=\"jemalloc\""], &[]);
    assert_eq!(line, format!("{}\n", jemalloc("--cfg alloc_switch=\"jemalloc\"")));
    // The program is told what the build script has found: Cargo shows a registry crate's warnings
    // to nobody.
    let mut forced =
        build_script(&folder, "powerpc64le-unknown-linux-gnu powerpc64 unknown linux gnu little");
    run(forced
        .env("CARGO_ENCODED_RUSTFLAGS", FORCED)
        .env("DEP_JEMALLOC_ROOT", archive.parent().unwrap()));
    program(&[], &[]);
    let mut warned = rustc(&folder);
    warned
        .args(["--extern", "alloc_switch"])
        .arg(Path::new(ROOT).join("tests/artifacts/without_cargo/program.rs"));
    let said = warned.output().unwrap().stderr;
    let said = String::from_utf8_lossy(&said);
    assert!(
        said.contains("set POWERPC64LE_UNKNOWN_LINUX_GNU_JEMALLOC_SYS_WITH_LG_PAGE=16"),
        "{said}"
    );
    run(&mut script);
    // The veto holds although the build script has not seen it.
    let line = program(&["--cfg", "alloc_switch=\"system\""], &["--cfg", "ask"]);
    assert_eq!(line, "system (--cfg alloc_switch=\"system\")\n");
}
