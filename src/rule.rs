//! The rule: facts in, an allocator and a reason out.
//!
//! A veto for the system allocator beats the author's word, and the policy decides where the author
//! says nothing. The macros ask the rule ([`decide`]) once, in the root crate of an artifact, the
//! only place that knows which artifact it is. `build.rs` includes this file to learn whether
//! jemalloc may be linked at all ([`BuildFacts::veto`]).

/// What provides an artifact's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Allocator {
    /// jemalloc, through `tikv_jemallocator::Jemalloc`.
    Jemalloc,
    /// The platform's own allocator, through `std::alloc::System`.
    System,
    /// The allocator that the macro's `fallback` names, on a target that jemalloc does not serve.
    Fallback,
    /// The allocator that the macro's `custom` names, in jemalloc's place.
    Custom,
}

impl Allocator {
    /// Each at the index of its discriminant.
    pub(crate) const ALL: [Self; 4] = [Self::Jemalloc, Self::System, Self::Fallback, Self::Custom];
}

/// What the crate being compiled will become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Artifact {
    /// A program (binary, example, test or benchmark), or a crate that says it is linked into one.
    Executable,
    /// A dylib, cdylib or staticlib. An rlib too, although its allocator is the final artifact's
    /// affair; and a build script or a documentation test, which look the same from inside.
    Library,
    /// A procedural macro, which is a library that rustc loads.
    // rustc counts an allocator that it registers as one of each program that uses it, and then
    // does not link it: the program fails on an undefined `__rust_alloc`.
    ProcMacro,
    /// Not built by Cargo, so that nothing tells what it is.
    NotBuiltByCargo,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $reason:ident = $text:literal,)+) => {
        /// Why an artifact got its allocator, in the order in which the rule asks.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum Reason {
            $($(#[$doc])* $reason,)+
        }

        impl Reason {
            /// Every reason, each at the index of its discriminant.
            pub const ALL: &'static [Reason] = &[$(Reason::$reason),+];

            /// The reason in a few words, such as `executable artifact`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Reason::$reason => $text,)+
                }
            }
        }
    };
}

reasons! {
    /// Veto: the macro's argument is `system`.
    MacroSystem = "global_allocator!(system)",
    /// Veto: the builder passed `--cfg alloc_switch="system"`.
    CfgSystem = "--cfg alloc_switch=\"system\"",
    /// Veto on jemalloc: the feature `jemalloc` is off.
    FeatureOff = "feature jemalloc is off",
    /// Veto: the build is for Miri, which cannot run C.
    Miri = "cfg(miri)",
    /// Veto: the build is for Kani, which cannot verify C.
    Kani = "cfg(kani)",
    /// Veto: the build is for a fuzzer, whose sanitizer must see every allocation.
    Fuzzing = "cfg(fuzzing)",
    /// Veto: a sanitizer is on, which must see every allocation.
    Sanitizer = "sanitizer",
    /// Veto: `-C prefer-dynamic`; a shared std frees the program's memory with libc's `free`. Only
    /// flags in RUSTFLAGS and in Cargo's configuration are seen, and not that a dependency is a
    /// dylib, which shares std too: say `system` there.
    PreferDynamic = "-C prefer-dynamic",
    /// Veto on jemalloc: the target is not on the list of those where it is known to work.
    UnlistedTarget = "target not on the jemalloc list",
    /// A procedural macro: rustc links no allocator of its own into it.
    ProcMacro = "procedural macro",
    /// The author's word: the macro's argument is `jemalloc`.
    MacroJemalloc = "global_allocator!(jemalloc)",
    /// The author's word: the macro's argument is `custom`.
    MacroCustom = "global_allocator!(custom)",
    /// Policy: executables get jemalloc.
    Executable = "executable artifact",
    /// Policy: libraries get the system allocator, because their host owns the process.
    Library = "library artifact",
    /// Policy: the builder passed `--cfg alloc_switch="jemalloc"` for an artifact that Cargo does
    /// not build.
    CfgJemalloc = "--cfg alloc_switch=\"jemalloc\"",
    /// Policy: an artifact that Cargo does not build gets the system allocator, which is never
    /// wrong.
    NotBuiltByCargo = "unknown artifact, not built by Cargo",
}

/// Who the author names between the macro's parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    Default,
    Jemalloc,
    System,
    Executable,
    Custom,
}

/// The variables that tell what is being compiled.
///
/// `CARGO_BIN_NAME` is set for binaries and executable examples, `CARGO_TARGET_TMPDIR` for
/// integration tests and benchmarks:
/// <https://doc.rust-lang.org/cargo/reference/environment-variables.html>. Cargo gives each crate
/// both `CARGO`, which other build systems do not imitate, and `CARGO_CRATE_NAME`, which programs that
/// Cargo runs do not inherit: rules_rust sets `CARGO_CRATE_NAME`, `CARGO_PKG_*` and
/// `CARGO_MANIFEST_DIR`, buildRustCrate the last two, Buck2 what the BUCK file says. Each passes
/// `--test` for a test.
// https://github.com/bazelbuild/rules_rust/blob/e22086c0ad4575b81d92979a90d353095a516463/rust/private/rustc.bzl#L141
// https://github.com/NixOS/nixpkgs/blob/master/pkgs/build-support/rust/build-rust-crate/configure-crate.nix
// https://github.com/facebook/buck2/blob/main/prelude/rust/cargo_package.bzl
#[derive(Clone, Copy, Debug)]
pub struct CargoEnv {
    pub cargo: bool,
    pub bin_name: bool,
    pub target_tmpdir: bool,
    pub test: bool,
    pub proc_macro: bool,
}

/// The crate that calls a macro: what its author says, and what it is.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    pub argument: Argument,
    pub artifact: Artifact,
    /// Whether the macro names a type: that of a fallback, or of `custom`.
    pub fallback: bool,
}

impl Caller {
    /// Believes an author who says `executable`, and the variables for the rest.
    pub const fn new(argument: Argument, fallback: bool, variables: CargoEnv) -> Self {
        let CargoEnv { cargo, bin_name, target_tmpdir, test, proc_macro } = variables;
        let artifact = if proc_macro {
            Artifact::ProcMacro
        } else if bin_name || target_tmpdir || test || matches!(argument, Argument::Executable) {
            Artifact::Executable
        } else if cargo {
            Artifact::Library
        } else {
            Artifact::NotBuiltByCargo
        };
        Caller { argument, artifact, fallback }
    }
}

/// The facts of a whole build, the same for every artifact in it.
#[derive(Clone, Copy, Debug)]
pub struct BuildFacts {
    /// `--cfg alloc_switch="system"` is set.
    pub cfg_system: bool,
    /// `--cfg alloc_switch="jemalloc"` is set.
    pub cfg_jemalloc: bool,
    /// The feature `jemalloc` is on.
    pub feature_jemalloc: bool,
    /// `cfg(miri)` is set.
    pub miri: bool,
    /// `cfg(kani)` is set.
    pub kani: bool,
    /// `cfg(fuzzing)` is set.
    pub fuzzing: bool,
    /// A sanitizer is among the rustc flags, or the target has one.
    pub sanitizer: bool,
    /// `-C prefer-dynamic` is among the rustc flags, and jemalloc is not `malloc`.
    pub prefer_dynamic: bool,
    /// The target is on the list, or the builder allows jemalloc on it.
    pub target_allowed: bool,
}

impl BuildFacts {
    /// The first veto on what the author asks for. The feature and the list of targets speak of
    /// jemalloc alone, and not of `custom`.
    pub const fn veto(&self, argument: Argument) -> Option<Reason> {
        let custom = matches!(argument, Argument::Custom);
        let vetoes = [
            (matches!(argument, Argument::System), Reason::MacroSystem),
            (self.cfg_system, Reason::CfgSystem),
            (!self.feature_jemalloc && !custom, Reason::FeatureOff),
            (self.miri, Reason::Miri),
            (self.kani, Reason::Kani),
            (self.fuzzing, Reason::Fuzzing),
            (self.sanitizer, Reason::Sanitizer),
            (self.prefer_dynamic, Reason::PreferDynamic),
            (!self.target_allowed && !custom, Reason::UnlistedTarget),
        ];
        let mut i = 0;
        while i < vetoes.len() {
            if vetoes[i].0 {
                return Some(vetoes[i].1);
            }
            i += 1;
        }
        None
    }
}

/// The rule.
pub const fn decide(caller: Caller, build: &BuildFacts) -> (Allocator, Reason) {
    // 1. Vetoes
    let veto = build.veto(caller.argument);
    // What the artifact would get without one
    let (allocator, reason) = match (caller.argument, caller.artifact) {
        // 2. Procedural macros
        (_, Artifact::ProcMacro) => (Allocator::System, Reason::ProcMacro),
        // 3. The author's word
        (Argument::Jemalloc, _) => (Allocator::Jemalloc, Reason::MacroJemalloc),
        (Argument::Custom, _) => (Allocator::Custom, Reason::MacroCustom),
        // 4. Policy
        (_, Artifact::Executable) => (Allocator::Jemalloc, Reason::Executable),
        (_, Artifact::Library) => (Allocator::System, Reason::Library),
        (_, Artifact::NotBuiltByCargo) if build.cfg_jemalloc => {
            (Allocator::Jemalloc, Reason::CfgJemalloc)
        }
        (_, Artifact::NotBuiltByCargo) => (Allocator::System, Reason::NotBuiltByCargo),
    };
    match (veto, allocator) {
        (None, _) => (allocator, reason),
        // 5. Fallback: the target alone is in jemalloc's way
        (Some(Reason::UnlistedTarget), Allocator::Jemalloc) if caller.fallback => {
            (Allocator::Fallback, Reason::UnlistedTarget)
        }
        (Some(veto), _) => (Allocator::System, veto),
    }
}

/// The facts of a target, spelled as `rustc --print cfg` spells them.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The whole triple.
    pub triple: &'a str,
    /// `target_arch`
    pub arch: &'a str,
    /// `target_vendor`
    pub vendor: &'a str,
    /// `target_os`
    pub os: &'a str,
    /// `target_env`
    pub env: &'a str,
    /// `target_abi`
    pub abi: &'a str,
    /// `target_endian`
    pub endian: &'a str,
}

impl Target<'_> {
    /// The allow-list: where jemalloc is known to build, start and stay. `Cargo.toml` states it
    /// again for Cargo, and tests/rule holds one against the other for every triple.
    pub fn is_listed(&self) -> bool {
        match self.os {
            // OpenWrt and Unikraft have kernels of their own; any other vendor is a distribution's.
            // ilp32 and x32 have a pointer size of their own, and were not run.
            "linux"
                if !matches!(self.vendor, "openwrt" | "unikraft")
                    && !matches!(self.abi, "ilp32" | "x32") =>
            {
                match (self.env, self.arch, self.endian) {
                    // Run here, docs/targets.md: x86_64, i686, i586, aarch64, riscv64gc, s390x. The
                    // other triples of these architectures are the same code in another variant,
                    // and not run. Not 32-bit Arm: cross-built for 4 KiB pages it aborts on arm64
                    // kernels with larger ones, such as the default one of the Raspberry Pi 5.
                    ("gnu", "x86" | "x86_64" | "aarch64" | "riscv64", "little")
                    | ("gnu", "s390x", _) => true,
                    // Run here: x86_64, aarch64. s390x is not. On the others a static program does
                    // not link: they need `__ffsdi2`, which is in libgcc alone.
                    // https://github.com/jemalloc/jemalloc/issues/1464
                    ("musl", "x86_64" | "aarch64", "little") | ("musl", "s390x", _) => true,
                    // PowerPC, MIPS, SPARC, LoongArch, big-endian Arm: jemalloc bakes in a page
                    // size that may be smaller than the kernel's, and aborts there at start-up.
                    // Others: tikv-jemallocator does not know them, or they were not run. uClibc
                    // and OpenHarmony have a C library of their own.
                    _ => false,
                }
            }
            // Not run here; rustc's own distribution is built with jemalloc for both.
            // https://github.com/rust-lang/rust/blob/006ccd1a49104b27a6b72270256f53d75c5f883d/src/ci/github-actions/jobs.yml
            "macos" => matches!(self.arch, "x86_64" | "aarch64"),
            // Does not build: Android's NDK has no libgcc, which jemalloc wants; on Windows there
            // is no sh for its configure (MSVC), or the library gets another name than is linked
            // (gnu); its config.sub rejects illumos and Apple's simulators. Is the system's anyway:
            // FreeBSD, NetBSD. No processes: WebAssembly, consoles, firmware. Was not run: the
            // rest.
            _ => false,
        }
    }

    /// The page size to give to jemalloc, as its log2, where it would assume one that some kernels
    /// exceed, and abort there at start-up; a size above the kernel's works. From 5.3.1 on jemalloc
    /// knows the triples aarch64-unknown-linux-*, *-linux-android and aarch64-apple-darwin.
    /// Elsewhere, and everywhere before, it takes the build host's size, or 4 KiB when
    /// cross-compiling.
    // https://github.com/jemalloc/jemalloc/blob/5.3.1/configure.ac (LG_PAGE). The sizes are the
    // largest that Linux's arch/*/Kconfig offers, and what Rust's own jemalloc needed:
    // https://github.com/rust-lang/rust/pull/146444
    pub fn lg_page(&self, before_5_3_1: bool) -> Option<u8> {
        // By the vendor too: a distribution's compiler may have another under the same name.
        let known = ["aarch64-unknown-linux-", "aarch64-linux-android", "aarch64-apple-darwin"];
        let is_known = matches!(self.vendor, "unknown" | "apple")
            && known.iter().any(|known| self.triple.starts_with(known));
        match self.arch {
            "powerpc" | "powerpc64" | "loongarch64" | "arm" => Some(16),
            arch if arch.starts_with("mips") => Some(16),
            arch if arch.starts_with("sparc") => Some(13),
            "aarch64" if is_known && !before_5_3_1 => None,
            "aarch64" if matches!(self.os, "linux" | "android") => Some(16),
            "aarch64" if self.vendor == "apple" => Some(14),
            _ => None,
        }
    }

    /// Whether the triple itself turns a sanitizer on, which stable rustc shows in no cfg.
    pub fn has_sanitizer(&self) -> bool {
        ["asan", "hwasan", "msan", "tsan"].iter().any(|suffix| self.triple.ends_with(suffix))
    }
}

/// The options among rustc's flags, as `CARGO_ENCODED_RUSTFLAGS` has them: `-C`, `-Z` or `--cfg`,
/// the option's name with hyphens, and its value without quotes.
///
/// Cargo sets this variable for every build script, so that none inherited from outside can
/// mislead.
pub fn flags(encoded: &str) -> impl Iterator<Item = (&'static str, String, Option<&str>)> + '_ {
    const KINDS: [(&str, &str); 4] =
        [("-codegen", "-C"), ("C", "-C"), ("Z", "-Z"), ("-cfg", "--cfg")];
    let mut flags = encoded.split('\x1f');
    std::iter::from_fn(move || loop {
        // Switches of one letter may stand before another option: -gCprefer-dynamic.
        let flag = flags.next()?.strip_prefix('-').unwrap_or_default();
        let flag = flag.trim_start_matches(['g', 'h', 'O', 'q', 'v', 'V']);
        let Some((spelling, kind)) = KINDS.into_iter().find(|(s, _)| flag.starts_with(s)) else {
            continue;
        };
        let option = match &flag[spelling.len()..] {
            "" => flags.next()?,
            rest => rest.strip_prefix('=').unwrap_or(rest),
        };
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value.trim().trim_matches('"'))),
            None => (option, None),
        };
        return Some((kind, name.trim().replace('_', "-"), value));
    })
}

/// Whether rustc is told to link the standard library as a shared library; the last flag wins.
pub fn prefer_dynamic(encoded_flags: &str) -> bool {
    flags(encoded_flags)
        .filter(|(kind, name, _)| *kind == "-C" && name == "prefer-dynamic")
        .last()
        .is_some_and(|(.., value)| !matches!(value, Some("no" | "n" | "off" | "false")))
}

/// The first three numbers of a version such as `5.3.1`, to be compared.
pub fn numbers(version: &str) -> [u32; 3] {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}
