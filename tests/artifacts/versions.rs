//! tikv-jemalloc-sys 0.6, on which many other crates hold a program. Programs on it are tested in
//! `tests/jemalloc-0.6`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::support::{run, ROOT};

/// rocksdb 0.24 with its feature `jemalloc` takes 0.6, and this crate with it.
#[test]
fn a_program_beside_rocksdb_resolves() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--locked", "--prefix", "none", "--edges", "normal"]);
    cargo.current_dir(Path::new(ROOT).join("tests/jemalloc-0.6/beside-rocksdb"));
    for unset in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        cargo.env_remove(unset);
    }
    let tree = run(&mut cargo);
    let has = |package: &str| tree.lines().any(|line| line.starts_with(package));
    assert!(has("rocksdb v0.24") && has("tikv-jemallocator v0.6.1"), "{tree}");
    assert!(has("tikv-jemalloc-sys v0.6.1+5.3.0") && !has("tikv-jemalloc-sys v0.7"), "{tree}");
}

/// Our build script, and the warning that it prints for a target and a version of jemalloc.
fn page_size_warning(folder: &Path, target: &str, version: &str) -> Option<String> {
    let include = folder.join("jemalloc/include/jemalloc");
    fs::create_dir_all(&include).unwrap();
    let header = format!("#define JEMALLOC_VERSION \"{version}-0-gabc\"\n_rjem_malloc_conf\n");
    fs::write(include.join("jemalloc.h"), header).unwrap();
    let mut script = Command::new(folder.join("build-script"));
    script.env_clear().env("OUT_DIR", folder).env("DEP_JEMALLOC_ROOT", folder.join("jemalloc"));
    let keys = ["TARGET", "ARCH", "VENDOR", "OS", "ENV", "ENDIAN", "ABI"];
    for (key, value) in keys.into_iter().zip(target.split(' ')) {
        let prefix = if key == "TARGET" { "" } else { "CARGO_CFG_TARGET_" };
        script.env(format!("{prefix}{key}"), value);
    }
    let said = run(&mut script);
    assert!(said.contains("cargo:rustc-cfg=alloc_switch_jemalloc"), "{target}: {said}");
    said.lines().find_map(|line| line.strip_prefix("cargo:warning=")).map(str::to_owned)
}

/// Before 5.3.1 jemalloc takes the build host's page size on aarch64, whose kernels have three.
#[test]
fn the_page_size_of_aarch64_is_warned_of_before_5_3_1() {
    let folder: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page-size-0.6");
    fs::create_dir_all(&folder).unwrap();
    let rustc = env::var_os("RUSTC").unwrap_or("rustc".into());
    run(Command::new(rustc)
        .args(["--edition", "2021", "--cfg", "feature=\"jemalloc\"", "-o"])
        .arg(folder.join("build-script"))
        .arg(Path::new(ROOT).join("build.rs")));
    for (target, variable) in [
        (
            "aarch64-unknown-linux-gnu aarch64 unknown linux gnu little ",
            "AARCH64_UNKNOWN_LINUX_GNU_JEMALLOC_SYS_WITH_LG_PAGE=16",
        ),
        (
            "aarch64-unknown-linux-musl aarch64 unknown linux musl little ",
            "AARCH64_UNKNOWN_LINUX_MUSL_JEMALLOC_SYS_WITH_LG_PAGE=16",
        ),
        (
            "aarch64-apple-darwin aarch64 apple macos  little ",
            "AARCH64_APPLE_DARWIN_JEMALLOC_SYS_WITH_LG_PAGE=14",
        ),
    ] {
        let warning = page_size_warning(&folder, target, "5.3.0").expect(target);
        assert!(warning.ends_with(&format!("set {variable}")), "{warning}");
        assert_eq!(page_size_warning(&folder, target, "5.3.1"), None, "{target}");
    }
    let x86_64 = "x86_64-unknown-linux-gnu x86_64 unknown linux gnu little ";
    assert_eq!(page_size_warning(&folder, x86_64, "5.3.0"), None);
}
