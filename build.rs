//! Finds the vetoes that hold for the whole build, and which jemalloc will be linked.
//!
//! Cargo hands on what it inherits, so this believes only what Cargo sets for every build script:
//! features as cfgs, `CARGO_ENCODED_RUSTFLAGS`, `TARGET` and the `CARGO_CFG_TARGET_*`.

#[allow(dead_code)] // the macros evaluate the rest of the rule
#[path = "src/rule.rs"]
mod rule;

use std::path::{Path, PathBuf};
use std::{env, fs, process};

use rule::{Build, Target};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/rule.rs");
    println!("cargo:rerun-if-env-changed=CARGO_CFG_MIRI");
    refuse_leaks();
    let encoded_flags = var("CARGO_ENCODED_RUSTFLAGS");
    let build = Build {
        cfg_system: has_cfg(&encoded_flags, "alloc-switch", Some("system")),
        cfg_jemalloc: has_cfg(&encoded_flags, "alloc-switch", Some("jemalloc")),
        feature_jemalloc: cfg!(feature = "jemalloc"),
        override_malloc: cfg!(feature = "override-malloc"),
        // The one cfg that is in no flag, because Miri's driver sets it. The crate sees it too.
        miri: env::var_os("CARGO_CFG_MIRI").is_some(),
        kani: has_cfg(&encoded_flags, "kani", None),
        fuzzing: has_cfg(&encoded_flags, "fuzzing", None),
        sanitizer: rule::flags(&encoded_flags)
            .any(|(_, name, _)| matches!(name.as_str(), "sanitizer" | "sanitize")),
        prefer_dynamic: rule::prefer_dynamic(&encoded_flags),
        target: Target {
            triple: &var("TARGET"),
            arch: &var("CARGO_CFG_TARGET_ARCH"),
            vendor: &var("CARGO_CFG_TARGET_VENDOR"),
            os: &var("CARGO_CFG_TARGET_OS"),
            env: &var("CARGO_CFG_TARGET_ENV"),
            abi: &var("CARGO_CFG_TARGET_ABI"),
            endian: &var("CARGO_CFG_TARGET_ENDIAN"),
        },
    };
    refuse_flag_files(&encoded_flags);
    refuse_cfg_test(&encoded_flags);
    refuse_unknown_values(&encoded_flags);

    let veto = build.veto();
    let jemalloc = veto.is_none().then(|| linked_jemalloc(&build));
    let mut version = None;
    let mut page_size = None;
    if let Some(jemalloc) = jemalloc {
        println!("cargo:rustc-cfg=alloc_switch_jemalloc");
        if jemalloc.is_malloc {
            println!("cargo:rustc-cfg=alloc_switch_malloc");
        }
        page_size = page_size_warning(&build.target, jemalloc.version.as_deref());
        version = jemalloc.version;
    }
    if let Some(warning) = &page_size {
        println!("cargo:warning={warning}");
    }
    if carries_note(&build) {
        println!("cargo:rustc-cfg=alloc_switch_note");
    }
    // A file, not environment variables: those reach the programs that Cargo runs, and a build that
    // one of them starts. Cargo keeps a build script's warnings to itself for crates from a
    // registry; rustc's reach whoever calls the macro.
    let deprecated =
        page_size.map_or(String::new(), |note| format!("#[deprecated(note = {note:?})]"));
    let facts = format!(
        "pub const VETO: Option<Reason> = {};\n\
         pub const VERSION: Option<&str> = {version:?};\n\
         {deprecated}\npub const PAGE_SIZE: () = ();\n",
        veto.map_or("None".into(), |reason| format!("Some(Reason::{reason:?})")),
    );
    fs::write(Path::new(&var("OUT_DIR")).join("facts.rs"), facts).expect("OUT_DIR is writable");
}

/// A variable that Cargo sets for every build script.
fn var(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

fn has_cfg(encoded_flags: &str, name: &str, value: Option<&str>) -> bool {
    rule::flags(encoded_flags).any(|flag| flag == ("--cfg", name.to_owned(), value))
}

/// Whether what is built can carry the note with its choice: it is written in assembler, with `const`
/// operands, which came with rustc 1.82.
fn carries_note(build: &Build) -> bool {
    let has_assembler =
        matches!(build.target.arch, "x86" | "x86_64" | "arm" | "aarch64" | "riscv64");
    let is_compiled = !build.miri && !build.kani;
    let rustc = env::var_os("RUSTC").unwrap_or("rustc".into());
    let minor = || {
        let version = process::Command::new(rustc).arg("--version").output().ok()?.stdout;
        String::from_utf8(version).ok()?.split('.').nth(1)?.parse::<u32>().ok()
    };
    build.target.os == "linux"
        && has_assembler
        && is_compiled
        && minor().is_some_and(|minor| minor >= 82)
}

fn stop(sentence: &str) -> ! {
    eprintln!("error: alloc-switch: {sentence}");
    process::exit(1)
}

/// By these two the macros know an executable. Cargo gives neither to a build script, so one that
/// is here was inherited, and every library of the build would look like an executable.
fn refuse_leaks() {
    for name in ["CARGO_BIN_NAME", "CARGO_TARGET_TMPDIR"] {
        println!("cargo:rerun-if-env-changed={name}");
        if let Some(value) = env::var_os(name) {
            stop(&format!(
                "{name}={} is in the environment that Cargo was started in, where it makes every \
                 library look like an executable: start Cargo without it, as in `env -u {name} \
                 cargo build`",
                value.to_string_lossy()
            ));
        }
    }
}

/// rustc reads flags from a file, and Cargo asks it which cfgs they make. Nothing here would know.
fn refuse_flag_files(encoded_flags: &str) {
    if let Some(file) = encoded_flags.split('\x1f').find(|flag| flag.starts_with('@')) {
        stop(&format!(
            "RUSTFLAGS has {file}, a file with flags, which only rustc reads: write the flags out"
        ));
    }
}

/// By this cfg the macros know a test program, and here it stands for a whole build.
fn refuse_cfg_test(encoded_flags: &str) {
    if has_cfg(encoded_flags, "test", None) {
        stop(
            "RUSTFLAGS has --cfg test, which makes every library look like an executable: name a \
             cfg of your own",
        );
    }
}

fn refuse_unknown_values(encoded_flags: &str) {
    for (kind, name, value) in rule::flags(encoded_flags) {
        let known = matches!(value, Some("system" | "jemalloc"));
        if kind == "--cfg" && name == "alloc-switch" && !known {
            let flag = value.map_or(String::new(), |value| format!("={value:?}"));
            stop(&format!(
                "unknown value in --cfg alloc_switch{flag}: write --cfg alloc_switch=\"system\" or \
                 --cfg alloc_switch=\"jemalloc\""
            ));
        }
    }
}

struct Jemalloc {
    /// Unknown for a library that somebody else has built.
    version: Option<String>,
    /// Whether `malloc` itself is jemalloc's in whatever is linked with it.
    is_malloc: bool,
}

/// Asks the header of the jemalloc that was built. Where `JEMALLOC_OVERRIDE` names a library that
/// somebody else built there is none, and the feature has to be believed.
fn linked_jemalloc(build: &Build) -> Jemalloc {
    let apple = build.target.vendor == "apple";
    let library = variable_for(build.target.triple, "JEMALLOC_OVERRIDE");
    let mut version = None;
    let mut unprefixed =
        build.override_malloc && !apple && !matches!(build.target.os, "android" | "dragonfly");
    match library {
        Some(library) => refuse_other_names(&library, unprefixed),
        None => {
            let header =
                PathBuf::from(var("DEP_JEMALLOC_ROOT")).join("include/jemalloc/jemalloc.h");
            if let Ok(header) = fs::read_to_string(header) {
                unprefixed = !header.contains("_rjem_malloc_conf");
                version = header
                    .lines()
                    .find_map(|line| line.strip_prefix("#define JEMALLOC_VERSION \""))
                    .and_then(|rest| rest.split(['-', '"']).next())
                    .map(str::to_owned);
            }
        }
    }
    // On Apple the names stay prefixed, and jemalloc registers itself as the default zone.
    Jemalloc { version, is_malloc: unprefixed || (apple && build.override_malloc) }
}

/// The value of the variable that tikv-jemalloc-sys reads for this target, or in its absence of the
/// one of that name.
fn variable_for(triple: &str, name: &str) -> Option<PathBuf> {
    let for_target = prefixed(triple, name);
    println!("cargo:rerun-if-env-changed={for_target}");
    println!("cargo:rerun-if-env-changed={name}");
    env::var_os(for_target).or_else(|| env::var_os(name)).map(PathBuf::from)
}

fn prefixed(triple: &str, name: &str) -> String {
    format!("{}_{name}", triple.to_uppercase().replace('-', "_"))
}

/// Stops where what `JEMALLOC_OVERRIDE` names is no library that the linker finds by its name, or has
/// other symbols than those that will be linked.
fn refuse_other_names(path: &Path, unprefixed: bool) {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_library = name.starts_with("lib")
        && [".a", ".so", ".dylib"].iter().any(|extension| name.ends_with(extension));
    if !is_library {
        stop(&format!(
            "JEMALLOC_OVERRIDE={} cannot be handed to the linker: name a file such as \
             libjemalloc.so or libjemalloc.a",
            path.display()
        ));
    }
    let library = fs::read(path).unwrap_or_default();
    let has = |name: &[u8]| library.windows(name.len()).any(|bytes| bytes == name);
    if has(b"mallocx") && has(b"_rjem_mallocx") == unprefixed {
        let (has, remedy) = if unprefixed { ("with", "off") } else { ("without", "on") };
        stop(&format!(
            "JEMALLOC_OVERRIDE={} is a jemalloc {has} the prefix _rjem_: turn the feature \
             `override-malloc` {remedy}",
            path.display()
        ));
    }
}

/// What to tell where jemalloc may be built for too small a page, unless the builder has set the
/// size or brought a library.
fn page_size_warning(target: &Target, version: Option<&str>) -> Option<String> {
    let before_5_3_1 =
        version.is_some_and(|version| version.starts_with("5.3.0") || version < "5.3");
    let lg_page = target.lg_page(before_5_3_1)?;
    // All Macs of this kind have the same pages.
    let at_home = target.vendor == "apple" && var("HOST") == target.triple;
    let is_set = |name| variable_for(target.triple, name).is_some();
    if at_home || is_set("JEMALLOC_SYS_WITH_LG_PAGE") || is_set("JEMALLOC_OVERRIDE") {
        return None;
    }
    Some(format!(
        "jemalloc for {} may be built for smaller pages than the kernel's, and then aborts at \
         start-up: set {}={lg_page}",
        target.triple,
        prefixed(target.triple, "JEMALLOC_SYS_WITH_LG_PAGE")
    ))
}
