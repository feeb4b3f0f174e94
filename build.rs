//! Finds what holds for the whole build, and which jemalloc will be linked.
//!
//! Cargo hands on what it inherits, so this believes only what Cargo sets for every build script:
//! features as cfgs, `CARGO_ENCODED_RUSTFLAGS`, `TARGET` and the `CARGO_CFG_TARGET_*`.

#[allow(dead_code)] // the macros use the rest
#[path = "src/rule.rs"]
mod rule;

use std::path::Path;
use std::{env, fs, process};

use rule::{Argument, BuildFacts, Target};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/rule.rs");
    refuse_leaked_variables();
    let flags = var("CARGO_ENCODED_RUSTFLAGS");
    refuse_unknown_values(&flags);
    let target = Target {
        triple: &var("TARGET"),
        arch: &var("CARGO_CFG_TARGET_ARCH"),
        vendor: &var("CARGO_CFG_TARGET_VENDOR"),
        os: &var("CARGO_CFG_TARGET_OS"),
        env: &var("CARGO_CFG_TARGET_ENV"),
        abi: &var("CARGO_CFG_TARGET_ABI"),
        endian: &var("CARGO_CFG_TARGET_ENDIAN"),
    };
    let facts = facts(&flags, &target);
    let (mut version, mut page_size) = (None, None);
    if facts.veto(Argument::Default).is_none() {
        println!("cargo:rustc-cfg=alloc_switch_jemalloc");
        let (linked, is_malloc) = linked_jemalloc(&target);
        if is_malloc {
            println!("cargo:rustc-cfg=alloc_switch_malloc");
        }
        page_size = page_size_warning(&target, linked.as_deref());
        version = linked;
    }
    write_facts(&facts, version, page_size);
}

/// A variable that Cargo sets for every build script.
fn var(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

fn has_cfg(flags: &str, name: &str, value: Option<&str>) -> bool {
    rule::flags(flags).any(|flag| flag == ("--cfg", name.to_owned(), value))
}

fn stop(sentence: &str) -> ! {
    eprintln!("error: alloc-switch: {sentence}");
    process::exit(1)
}

/// By these two the macros know an executable. Cargo gives neither to a build script, so one that
/// is here was inherited, and every library of the build would look like an executable.
fn refuse_leaked_variables() {
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

fn refuse_unknown_values(flags: &str) {
    for (kind, name, value) in rule::flags(flags) {
        if kind == "--cfg"
            && name == "alloc-switch"
            && !matches!(value, Some("system" | "jemalloc"))
        {
            let flag = value.map_or(String::new(), |value| format!("={value:?}"));
            stop(&format!(
                "unknown value in --cfg alloc_switch{flag}: write --cfg alloc_switch=\"system\" or \
                 --cfg alloc_switch=\"jemalloc\""
            ));
        }
    }
}

fn facts(flags: &str, target: &Target) -> BuildFacts {
    println!("cargo:rerun-if-env-changed=CARGO_CFG_MIRI");
    let cfg_jemalloc = has_cfg(flags, "alloc-switch", Some("jemalloc"));
    // With an unprefixed jemalloc a shared std and the program meet in one malloc. Shown for glibc
    // only.
    let shared_std_is_safe =
        cfg!(feature = "override-malloc") && target.os == "linux" && target.env == "gnu";
    BuildFacts {
        cfg_system: has_cfg(flags, "alloc-switch", Some("system")),
        cfg_jemalloc,
        feature_jemalloc: cfg!(feature = "jemalloc"),
        // The one cfg that is in no flag, because Miri's driver sets it.
        miri: env::var_os("CARGO_CFG_MIRI").is_some(),
        kani: has_cfg(flags, "kani", None),
        fuzzing: has_cfg(flags, "fuzzing", None),
        sanitizer: target.has_sanitizer()
            || rule::flags(flags)
                .any(|(_, name, _)| matches!(name.as_str(), "sanitizer" | "sanitize")),
        prefer_dynamic: rule::prefer_dynamic(flags) && !shared_std_is_safe,
        target_allowed: target.is_listed() || cfg_jemalloc,
    }
}

/// The version of the jemalloc that was built, such as `5.3.1`, and whether `malloc` itself is
/// jemalloc's in whatever is linked with it. Its header tells. Where `JEMALLOC_OVERRIDE` names a
/// library that somebody else built there is none, and the feature has to be believed.
fn linked_jemalloc(target: &Target) -> (Option<String>, bool) {
    let overridden = cfg!(feature = "override-malloc");
    let header = Path::new(&var("DEP_JEMALLOC_ROOT")).join("include/jemalloc/jemalloc.h");
    let Ok(header) = fs::read_to_string(header) else {
        return (None, overridden);
    };
    let mut lines = header.lines();
    let version = lines.find_map(|line| line.strip_prefix("#define JEMALLOC_VERSION \""));
    let version = version.and_then(|rest| rest.split(['-', '"']).next()).map(str::to_owned);
    // On Apple the names stay prefixed, and jemalloc registers itself as the default zone.
    let unprefixed = !header.contains("_rjem_malloc_conf");
    (version, unprefixed || (target.vendor == "apple" && overridden))
}

/// What to tell where jemalloc may be built for too small a page, unless the builder has set the
/// size or brought a library.
fn page_size_warning(target: &Target, version: Option<&str>) -> Option<String> {
    let before_5_3_1 = version.is_some_and(|version| rule::numbers(version) < [5, 3, 1]);
    let lg_page = target.lg_page(before_5_3_1)?;
    // All Macs of this kind have the same pages.
    let at_home = target.vendor == "apple" && var("HOST") == target.triple;
    let prefix = target.triple.to_uppercase().replace('-', "_");
    let is_set = |name: &str| {
        [format!("{prefix}_{name}"), name.to_owned()].iter().any(|name| {
            println!("cargo:rerun-if-env-changed={name}");
            env::var_os(name).is_some()
        })
    };
    if at_home || is_set("JEMALLOC_SYS_WITH_LG_PAGE") || is_set("JEMALLOC_OVERRIDE") {
        return None;
    }
    Some(format!(
        "jemalloc for {} may be built for smaller pages than the kernel's, and then aborts at \
         start-up: set {prefix}_JEMALLOC_SYS_WITH_LG_PAGE={lg_page}",
        target.triple
    ))
}

/// A file, not environment variables: those reach the programs that Cargo runs, and a build that
/// one of them starts. Cargo keeps a build script's warnings to itself for crates from a registry;
/// that of a deprecated constant reaches whoever calls the macro.
fn write_facts(facts: &BuildFacts, version: Option<String>, page_size: Option<String>) {
    let deprecated = page_size.map_or(String::new(), |warning| {
        println!("cargo:warning={warning}");
        format!("#[deprecated(note = {warning:?})]")
    });
    let text = format!(
        "const FOUND: BuildFacts = {facts:?};\n\
         /// The version of the linked jemalloc; unknown for one that was built elsewhere.\n\
         pub(crate) const VERSION: Option<&str> = {version:?};\n\
         /// Deprecated if there is something to warn of.\n\
         {deprecated} pub const PAGE_SIZE_WARNING: () = ();\n",
    );
    fs::write(Path::new(&var("OUT_DIR")).join("facts.rs"), text).expect("OUT_DIR is writable");
}
