//! Bazel, Buck2, Meson and Nix call rustc themselves: this compiles the crate, its build script and
//! a program as they do, without one of the variables that tell Cargo's artifacts apart. What the
//! crate depends on is Cargo's, as nothing in it looks at the caller.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::support::{bare, build_script, fixture, jemalloc, run, ROOT};

/// A build of the crate by hand.
struct Build {
    folder: PathBuf,
    /// jemalloc's, with its header.
    jemalloc: PathBuf,
    dependencies: [(&'static str, PathBuf); 3],
}

const ALLOWED: &str = "alloc_switch=\"jemalloc\"";

impl Build {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("without-cargo");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let archive = fixture("every-program").command("check").build().jemalloc();
        let library = fixture("alloc-switch").args(["--lib"]);
        let dependencies = ["cfg_if", "tikv_jemallocator", "tikv_jemalloc_sys"]
            .map(|name| (name, library.artifact(name)));
        Build { folder, jemalloc: archive.ancestors().nth(2).unwrap().to_owned(), dependencies }
    }

    fn rustc(&self, edition: &str) -> Command {
        let mut rustc = bare(env::var_os("RUSTC").unwrap_or("rustc".into()));
        rustc.args(["--edition", edition, "--out-dir"]).arg(&self.folder);
        let dependencies = self.dependencies[0].1.parent().unwrap();
        rustc.arg(format!("-Ldependency={}", dependencies.display()));
        // What rules_rust gives to every crate, and looks like Cargo.
        rustc.envs([
            ("CARGO_CRATE_NAME", "program"),
            ("CARGO_PKG_NAME", "program"),
            ("CARGO_MANIFEST_DIR", ROOT),
        ]);
        rustc
    }

    /// The crate for a target, whose flags the build script and rustc are each told of.
    fn library(&self, target: &str, script_flags: &str, cfgs: &[&str]) {
        let mut script = build_script(&self.folder, target);
        script.env("DEP_JEMALLOC_ROOT", &self.jemalloc);
        let said = run(script.env("CARGO_ENCODED_RUSTFLAGS", script_flags));
        let found = said.lines().filter_map(|line| line.strip_prefix("cargo:rustc-cfg="));
        let mut rustc = self.rustc("2021");
        rustc.env("OUT_DIR", &self.folder);
        rustc.args(["--crate-type", "rlib", "--crate-name", "alloc_switch"]);
        for (name, file) in &self.dependencies {
            rustc.arg("--extern").arg(format!("{name}={}", file.display()));
        }
        for cfg in found.chain(["feature=\"jemalloc\""]).chain(cfgs.iter().copied()) {
            rustc.args(["--cfg", cfg]);
        }
        run(rustc.arg(Path::new(ROOT).join("src/lib.rs")));
    }

    /// The program, in the newest edition, where attributes that name symbols are unsafe.
    fn program(&self, arguments: &[&str]) -> Command {
        let mut rustc = self.rustc("2024");
        let library = self.folder.join("liballoc_switch.rlib");
        rustc.arg("--extern").arg(format!("alloc_switch={}", library.display())).args(arguments);
        rustc.arg(Path::new(ROOT).join("tests/artifacts/without_cargo/program.rs"));
        rustc
    }

    fn run(&self) -> String {
        run(&mut bare(self.folder.join("program")))
    }
}

#[test]
fn a_program_that_cargo_does_not_build_gets_what_it_or_its_builder_says() {
    let build = Build::new();
    let x86_64 = "x86_64-unknown-linux-gnu x86_64 unknown linux gnu little";
    let unknown = "system (unknown artifact, not built by Cargo)\n";

    // Nothing tells what it is.
    build.library(x86_64, "", &[]);
    run(&mut build.program(&[]));
    assert_eq!(build.run(), unknown);
    // Nor does a Cargo that runs the build from outside.
    run(build.program(&[]).env("CARGO", env!("CARGO")).env_remove("CARGO_CRATE_NAME"));
    assert_eq!(build.run(), unknown);
    // Nobody forgets `--test`.
    run(&mut build.program(&["--test"]));
    let lines = run(bare(build.folder.join("program")).arg("--nocapture"));
    assert!(lines.contains(&jemalloc("executable artifact")), "{lines}");
    // The program asks, or whoever builds does.
    run(&mut build.program(&["--cfg", "ask"]));
    assert_eq!(build.run(), format!("{}\n", jemalloc("global_allocator!(jemalloc)")));
    build.library(x86_64, "", &[ALLOWED]);
    run(&mut build.program(&[]));
    assert_eq!(build.run(), format!("{}\n", jemalloc("--cfg alloc_switch=\"jemalloc\"")));
    // The veto holds although the build script has not seen it.
    build.library(x86_64, "", &["alloc_switch=\"system\""]);
    run(&mut build.program(&["--cfg", "ask"]));
    assert_eq!(build.run(), "system (--cfg alloc_switch=\"system\")\n");
    // The program is told what the build script has found: Cargo shows a registry crate's warnings
    // to nobody.
    let powerpc = "powerpc64le-unknown-linux-gnu powerpc64 unknown linux gnu little";
    build.library(powerpc, &format!("--cfg\x1f{ALLOWED}"), &[]);
    let said = build.program(&[]).output().unwrap().stderr;
    let said = String::from_utf8_lossy(&said);
    let advice = "set POWERPC64LE_UNKNOWN_LINUX_GNU_JEMALLOC_SYS_WITH_LG_PAGE=16";
    assert!(said.contains(advice), "{said}");
}
