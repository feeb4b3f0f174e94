//! Evaluates the vetoes that hold for the whole build, where more can be seen than from inside a crate: `cfg(sanitize)`
//! and the rustc flags.

#[allow(dead_code)] // the rest of the rule is evaluated by the macros
#[path = "src/decide.rs"]
mod decide;

use std::path::Path;
use std::{env, fs, process};

fn var(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/decide.rs");

    let cfg_values = var("CARGO_CFG_ALLOC_SWITCH");
    let has_cfg = |name| env::var_os(name).is_some();
    let build = decide::Build {
        cfg_system: cfg_values.split(',').any(|v| v == "system"),
        cfg_jemalloc: cfg_values.split(',').any(|v| v == "jemalloc"),
        feature_jemalloc: has_cfg("CARGO_FEATURE_JEMALLOC"),
        override_malloc: has_cfg("CARGO_FEATURE_OVERRIDE_MALLOC"),
        miri: has_cfg("CARGO_CFG_MIRI"),
        fuzzing: has_cfg("CARGO_CFG_FUZZING"),
        sanitizer: has_cfg("CARGO_CFG_SANITIZE"),
        prefer_dynamic: prefer_dynamic(&var("CARGO_ENCODED_RUSTFLAGS")),
        target: decide::Target {
            triple: &var("TARGET"),
            arch: &var("CARGO_CFG_TARGET_ARCH"),
            vendor: &var("CARGO_CFG_TARGET_VENDOR"),
            os: &var("CARGO_CFG_TARGET_OS"),
            env: &var("CARGO_CFG_TARGET_ENV"),
            abi: &var("CARGO_CFG_TARGET_ABI"),
            endian: &var("CARGO_CFG_TARGET_ENDIAN"),
        },
    };
    if has_cfg("CARGO_CFG_ALLOC_SWITCH") {
        if let Some(unknown) = cfg_values.split(',').find(|v| !matches!(*v, "system" | "jemalloc"))
        {
            eprintln!(
                "error: unknown value in --cfg alloc_switch=\"{unknown}\": write \
                 --cfg alloc_switch=\"system\" or --cfg alloc_switch=\"jemalloc\""
            );
            process::exit(1);
        }
    }

    let veto = build.veto();
    let mut version = None;
    if veto.is_none() {
        println!("cargo:rustc-cfg=alloc_switch_jemalloc");
        version = describe_jemalloc(&build);
    }
    let warning = page_size_warning(&build.target).filter(|_| veto.is_none());
    if let Some(warning) = &warning {
        println!("cargo:warning={warning}");
    }
    // Files, not environment variables: those reach the programs that Cargo runs, and a build that one of them starts.
    let out_dir = var("OUT_DIR");
    // Cargo keeps a build script's warnings to itself for crates from a registry; rustc's reach whoever calls the macro.
    let page_size =
        warning.map_or(String::new(), |note| format!("#[deprecated(note = {note:?})]\n"));
    for (file, text) in [
        ("veto.rs", format!("{veto:?}\n")),
        ("version.rs", format!("{version:?}\n")),
        ("page_size.rs", format!("{page_size}pub const PAGE_SIZE: () = ();\n")),
    ] {
        fs::write(Path::new(&out_dir).join(file), text).expect("OUT_DIR is writable");
    }
}

/// What to tell whoever forces jemalloc on a target where it may be built for too small a page, unless they have set the
/// size or brought their own library.
fn page_size_warning(target: &decide::Target) -> Option<String> {
    let lg_page = target.lg_page()?;
    let size = for_target(target.triple, "JEMALLOC_SYS_WITH_LG_PAGE");
    let library = for_target(target.triple, "JEMALLOC_OVERRIDE");
    let names = [size.as_str(), "JEMALLOC_SYS_WITH_LG_PAGE", library.as_str(), "JEMALLOC_OVERRIDE"];
    for name in names {
        println!("cargo:rerun-if-env-changed={name}");
    }
    names.iter().all(|name| env::var_os(name).is_none()).then(|| {
        format!(
            "jemalloc is forced on {} and will abort where the kernel's pages are larger than those it is built for: set \
             {size}={lg_page}",
            target.triple
        )
    })
}

/// The variable that tikv-jemalloc-sys reads for this target, and in its absence the one of that name.
fn for_target(triple: &str, name: &str) -> String {
    format!("{}_{name}", triple.to_uppercase().replace('-', "_"))
}

/// Says which jemalloc will be linked: its version, and whether its symbols are prefixed. Its own header knows; where
/// `JEMALLOC_OVERRIDE` names a library that somebody else built, there is no header, and the feature has to be believed.
fn describe_jemalloc(build: &decide::Build) -> Option<String> {
    let header = Path::new(&var("DEP_JEMALLOC_ROOT")).join("include/jemalloc/jemalloc.h");
    let mut version = None;
    let unprefixed = match fs::read_to_string(header) {
        Ok(header) => {
            version = header
                .lines()
                .find_map(|line| {
                    line.strip_prefix("#define JEMALLOC_VERSION \"")?.split(['-', '"']).next()
                })
                .map(str::to_owned);
            !header.contains("_rjem_malloc_conf")
        }
        Err(_) => {
            let prefixed_anyway = build.target.vendor == "apple"
                || matches!(build.target.os, "android" | "dragonfly");
            let unprefixed = build.override_malloc && !prefixed_anyway;
            refuse_other_names(build.target.triple, unprefixed);
            unprefixed
        }
    };
    if unprefixed {
        println!("cargo:rustc-cfg=alloc_switch_unprefixed");
    }
    version
}

/// Stops where the library that `JEMALLOC_OVERRIDE` names has other symbols than those that will be linked.
fn refuse_other_names(triple: &str, unprefixed: bool) {
    let library = for_target(triple, "JEMALLOC_OVERRIDE");
    let Some(path) = env::var_os(library).or_else(|| env::var_os("JEMALLOC_OVERRIDE")) else {
        return;
    };
    let library = fs::read(&path).unwrap_or_default();
    let has = |name: &[u8]| library.windows(name.len()).any(|bytes| bytes == name);
    let (prefixed_library, any) = (has(b"_rjem_mallocx"), has(b"mallocx"));
    if any && prefixed_library == unprefixed {
        let (has, remedy) = if unprefixed { ("with", "off") } else { ("without", "on") };
        eprintln!(
            "error: JEMALLOC_OVERRIDE={} is a jemalloc {has} the prefix _rjem_: turn the feature `override-malloc` {remedy}",
            Path::new(&path).display()
        );
        process::exit(1);
    }
}

/// Whether rustc is told to link the standard library as a shared library; the last word counts.
pub fn prefer_dynamic(encoded_rustflags: &str) -> bool {
    let mut on = false;
    let mut flags = encoded_rustflags.split('\x1f');
    while let Some(flag) = flags.next() {
        let option = match flag {
            "-C" | "--codegen" => flags.next(),
            _ => flag.strip_prefix("--codegen=").or_else(|| flag.strip_prefix("-C")),
        };
        let (name, value) = option
            .map_or(("", None), |o| o.split_once('=').map_or((o, None), |(n, v)| (n, Some(v))));
        if name.replace('_', "-") == "prefer-dynamic" {
            on = !matches!(value, Some("no" | "n" | "off" | "false"));
        }
    }
    on
}
