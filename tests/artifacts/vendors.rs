//! A distribution's own compiler states a vendor of its own.

use std::fs;
use std::path::Path;

use crate::support::{self, build_script, fixture, run};

/// x86_64 by Alpine Linux, built and run.
#[test]
fn a_distributions_compiler_gets_jemalloc() {
    let archive = fixture("every-program").command("check").build().jemalloc();
    let built = fixture("every-program")
        .args(["--bin", "every-program"])
        .features("asks-jemalloc")
        .env("RUSTC", support::rustc_by_vendor("alpine").to_str().unwrap())
        .env("CARGO_TARGET_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/alpine/target"))
        .prebuilt_jemalloc(&archive)
        .build();
    let out = built.run("every-program", &[]);
    let line = "jemalloc (executable artifact)\nbox: jemalloc; strdup: not jemalloc\n";
    assert!(out.starts_with(line), "{out}");
}

/// What the build script says for a target, with a jemalloc of this version.
fn warning(folder: &Path, target: &str, version: &str, variable: Option<&str>) -> Option<String> {
    let include = folder.join("include/jemalloc");
    fs::create_dir_all(&include).unwrap();
    let header = format!("#define JEMALLOC_VERSION \"{version}-0-gabc\"\n_rjem_malloc_conf\n");
    fs::write(include.join("jemalloc.h"), header).unwrap();
    let mut script = build_script(folder, target);
    script.env("DEP_JEMALLOC_ROOT", folder).envs(variable.map(|name| (name, "16")));
    script.env("CARGO_ENCODED_RUSTFLAGS", "--cfg\x1falloc_switch=\"jemalloc\"");
    let said = run(&mut script);
    assert!(said.contains("cargo:rustc-cfg=alloc_switch_jemalloc"), "{target}: {said}");
    said.lines().find_map(|line| line.strip_prefix("cargo:warning=")).map(str::to_owned)
}

/// Which targets have to be told is in tests/rule; here is who is told, and how.
#[test]
fn a_page_size_that_jemalloc_may_get_wrong_is_warned_of() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page-sizes");
    let _ = fs::remove_dir_all(&folder);
    let aarch64 = "aarch64-unknown-linux-gnu aarch64 unknown linux gnu little";
    let alpine = "aarch64-alpine-linux-musl aarch64 alpine linux musl little";
    for (target, version, variable) in [
        (aarch64, "5.3.0", "AARCH64_UNKNOWN_LINUX_GNU_JEMALLOC_SYS_WITH_LG_PAGE"),
        (alpine, "5.3.1", "AARCH64_ALPINE_LINUX_MUSL_JEMALLOC_SYS_WITH_LG_PAGE"),
    ] {
        let said = warning(&folder, target, version, None).expect("a warning");
        let triple = target.split(' ').next().unwrap();
        assert!(said.contains(triple), "{said}");
        assert!(said.ends_with(&format!("set {variable}=16")), "{said}");
        for set in [variable, "JEMALLOC_SYS_WITH_LG_PAGE", "JEMALLOC_OVERRIDE"] {
            assert_eq!(warning(&folder, target, version, Some(set)), None, "{target} with {set}");
        }
    }
    assert_eq!(warning(&folder, aarch64, "5.3.1", None), None);
}
