//! The rule: facts in, a [`Reason`] out.
//!
//! A veto for the system allocator beats the author's word, and the policy decides where the author
//! says nothing. `build.rs` includes this file to find the vetoes that hold for a whole build
//! ([`Build::veto`]). The macros evaluate the rest ([`decide`]) in the root crate of an artifact,
//! the only place that knows which artifact it is.

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
    /// Not built by Cargo, so nothing tells.
    Unknown,
}

/// Why an artifact got its allocator, in the order in which the rule asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Reason {
    /// Veto: the macro's argument is `system`.
    MacroSystem,
    /// Veto: whoever builds passed `--cfg alloc_switch="system"`.
    CfgSystem,
    /// Veto: the feature `jemalloc` is off.
    FeatureOff,
    /// Veto: the build is for Miri, which cannot run C.
    Miri,
    /// Veto: the build is for Kani, which cannot verify C.
    Kani,
    /// Veto: the build is for a fuzzer, whose sanitizer must see every allocation.
    Fuzzing,
    /// Veto: a sanitizer is on, which must see every allocation.
    Sanitizer,
    /// Veto: `-C prefer-dynamic`; a shared std frees the program's memory with libc's `free`.
    PreferDynamic,
    /// Veto: the target is not on the list of targets where jemalloc is known to work.
    UnlistedTarget,
    /// A procedural macro: rustc links no allocator of its own into it.
    ProcMacro,
    /// The author's word: the macro's argument is `jemalloc`.
    MacroJemalloc,
    /// Policy: executables get jemalloc.
    Executable,
    /// Policy: libraries get the system allocator, because their host owns the process.
    Library,
    /// Policy: an artifact of unknown type gets the system allocator, which is never wrong.
    Unknown,
    /// Policy: whoever builds passed `--cfg alloc_switch="jemalloc"` for an artifact of unknown
    /// type.
    CfgJemalloc,
}

impl Reason {
    /// Every reason, each at the index of its discriminant.
    pub const ALL: &'static [Reason] = &[
        Reason::MacroSystem,
        Reason::CfgSystem,
        Reason::FeatureOff,
        Reason::Miri,
        Reason::Kani,
        Reason::Fuzzing,
        Reason::Sanitizer,
        Reason::PreferDynamic,
        Reason::UnlistedTarget,
        Reason::ProcMacro,
        Reason::MacroJemalloc,
        Reason::Executable,
        Reason::Library,
        Reason::Unknown,
        Reason::CfgJemalloc,
    ];

    /// The allocator that this reason is a reason for. A `fallback` takes the place of the system
    /// allocator where the reason is [`UnlistedTarget`](Reason::UnlistedTarget).
    pub const fn allocator(self) -> Allocator {
        match self {
            Reason::MacroJemalloc | Reason::Executable | Reason::CfgJemalloc => Allocator::Jemalloc,
            _ => Allocator::System,
        }
    }

    /// The reason in a few words, such as `executable artifact`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::MacroSystem => "global_allocator!(system)",
            Reason::CfgSystem => "--cfg alloc_switch=\"system\"",
            Reason::FeatureOff => "feature jemalloc is off",
            Reason::Miri => "cfg(miri)",
            Reason::Kani => "cfg(kani)",
            Reason::Fuzzing => "cfg(fuzzing)",
            Reason::Sanitizer => "sanitizer",
            Reason::PreferDynamic => "-C prefer-dynamic",
            Reason::UnlistedTarget => "target not on the jemalloc list",
            Reason::ProcMacro => "procedural macro",
            Reason::MacroJemalloc => "global_allocator!(jemalloc)",
            Reason::Executable => "executable artifact",
            Reason::Library => "library artifact",
            Reason::Unknown => "unknown artifact, not built by Cargo",
            Reason::CfgJemalloc => "--cfg alloc_switch=\"jemalloc\"",
        }
    }
}

/// What the author writes between the macro's parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    Nothing,
    Jemalloc,
    System,
    Executable,
}

/// The variables that tell what is being compiled.
///
/// `CARGO_BIN_NAME` is set for binaries and executable examples, `CARGO_TARGET_TMPDIR` for
/// integration tests and benchmarks:
/// <https://doc.rust-lang.org/cargo/reference/environment-variables.html>. Cargo gives each crate both
/// `CARGO`, which other build systems do not imitate, and `CARGO_CRATE_NAME`, which programs that
/// Cargo runs do not inherit: rules_rust sets `CARGO_CRATE_NAME`, `CARGO_PKG_*` and
/// `CARGO_MANIFEST_DIR`, buildRustCrate the last two, Buck2 what the BUCK file says. Each passes
/// `--test` for a test.
// https://github.com/bazelbuild/rules_rust/blob/e22086c0ad4575b81d92979a90d353095a516463/rust/private/rustc.bzl#L141
// https://github.com/NixOS/nixpkgs/blob/master/pkgs/build-support/rust/build-rust-crate/configure-crate.nix
// https://github.com/facebook/buck2/blob/main/prelude/rust/cargo_package.bzl
#[derive(Clone, Copy, Debug)]
pub struct Variables {
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
}

impl Caller {
    /// Takes the author's `executable` for what it says, and the variables for the rest.
    pub const fn new(argument: Argument, variables: Variables) -> Self {
        let Variables { cargo, bin_name, target_tmpdir, test, proc_macro } = variables;
        let artifact = if proc_macro {
            Artifact::ProcMacro
        } else if bin_name || target_tmpdir || test || matches!(argument, Argument::Executable) {
            Artifact::Executable
        } else if cargo {
            Artifact::Library
        } else {
            Artifact::Unknown
        };
        Caller { argument, artifact }
    }
}

/// The rule for one artifact, `veto` being that of the [`Build`].
pub const fn decide(caller: Caller, veto: Option<Reason>, cfg_jemalloc: bool) -> Reason {
    // 1. Vetoes
    if let Argument::System = caller.argument {
        return Reason::MacroSystem;
    }
    if let Some(reason) = veto {
        return reason;
    }
    // 2. Procedural macros
    if let Artifact::ProcMacro = caller.artifact {
        return Reason::ProcMacro;
    }
    // 3. The author's word
    if let Argument::Jemalloc = caller.argument {
        return Reason::MacroJemalloc;
    }
    // 4. Policy
    match caller.artifact {
        Artifact::Executable => Reason::Executable,
        Artifact::Library | Artifact::ProcMacro => Reason::Library,
        Artifact::Unknown if cfg_jemalloc => Reason::CfgJemalloc,
        Artifact::Unknown => Reason::Unknown,
    }
}

/// 5. Whether a fallback takes jemalloc's place: the veto of the target alone is in the way.
pub const fn falls_back(caller: Caller, veto: Option<Reason>, cfg_jemalloc: bool) -> bool {
    matches!(veto, Some(Reason::UnlistedTarget))
        && matches!(decide(caller, None, cfg_jemalloc).allocator(), Allocator::Jemalloc)
}

/// The facts of a whole build, the same for every artifact in it.
#[derive(Clone, Copy, Debug)]
pub struct Build<'a> {
    /// `--cfg alloc_switch="system"` is set.
    pub cfg_system: bool,
    /// `--cfg alloc_switch="jemalloc"` is set.
    pub cfg_jemalloc: bool,
    /// The feature `jemalloc` is on.
    pub feature_jemalloc: bool,
    /// The feature `override-malloc` is on.
    pub override_malloc: bool,
    /// `cfg(miri)` is set.
    pub miri: bool,
    /// `cfg(kani)` is set.
    pub kani: bool,
    /// `cfg(fuzzing)` is set.
    pub fuzzing: bool,
    /// A sanitizer is among the rustc flags.
    pub sanitizer: bool,
    /// `-C prefer-dynamic` is among the rustc flags.
    pub prefer_dynamic: bool,
    /// What is built for.
    pub target: Target<'a>,
}

impl Build<'_> {
    /// Step 1 for the whole build: the first veto that applies. `None` means that jemalloc is
    /// available.
    pub fn veto(&self) -> Option<Reason> {
        // With an unprefixed jemalloc a shared std and the program meet in one malloc. Shown for
        // glibc only.
        let shared_std_is_safe =
            self.override_malloc && self.target.os == "linux" && self.target.env == "gnu";
        [
            (self.cfg_system, Reason::CfgSystem),
            (!self.feature_jemalloc, Reason::FeatureOff),
            (self.miri, Reason::Miri),
            (self.kani, Reason::Kani),
            (self.fuzzing, Reason::Fuzzing),
            (self.sanitizer || self.target.has_sanitizer(), Reason::Sanitizer),
            (self.prefer_dynamic && !shared_std_is_safe, Reason::PreferDynamic),
            (!self.target.is_listed() && !self.cfg_jemalloc, Reason::UnlistedTarget),
        ]
        .into_iter()
        .find_map(|(holds, reason)| holds.then_some(reason))
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
    /// again for Cargo.
    pub fn is_listed(&self) -> bool {
        match self.os {
            // A renamed vendor (openwrt, unikraft) has kernels of its own.
            "linux" if self.vendor == "unknown" && !matches!(self.abi, "ilp32" | "x32") => {
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
                    _ => false,
                }
            }
            // Not run here; rustc's own distribution is built with jemalloc for both.
            // https://github.com/rust-lang/rust/blob/006ccd1a49104b27a6b72270256f53d75c5f883d/src/ci/github-actions/jobs.yml
            "macos" => matches!(self.arch, "x86_64" | "aarch64"),
            // The rest and why: tests/targets.tsv.
            _ => false,
        }
    }

    /// The page size to give to jemalloc, as its log2, where it would assume one that some kernels
    /// exceed, and abort there at start-up; a size above the kernel's works. jemalloc 5.3.1 knows
    /// the triples aarch64-unknown-linux-*, *-linux-android and aarch64-apple-darwin. Elsewhere,
    /// and everywhere before 5.3.1, it takes the build host's size, or 4 KiB when cross-compiling.
    // https://github.com/jemalloc/jemalloc/blob/5.3.1/configure.ac (LG_PAGE). The sizes are the
    // largest that Linux's arch/*/Kconfig offers, and what Rust's own jemalloc needed:
    // https://github.com/rust-lang/rust/pull/146444
    pub fn lg_page(&self, before_5_3_1: bool) -> Option<u8> {
        let known = ["aarch64-unknown-linux-", "aarch64-linux-android", "aarch64-apple-darwin"];
        match self.arch {
            "powerpc" | "powerpc64" | "loongarch64" | "arm" => Some(16),
            arch if arch.starts_with("mips") => Some(16),
            arch if arch.starts_with("sparc") => Some(13),
            "aarch64" if !before_5_3_1 && known.iter().any(|k| self.triple.starts_with(k)) => None,
            "aarch64" if self.os == "linux" => Some(16),
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
    const SPELLINGS: [(&str, &str); 4] =
        [("-codegen", "-C"), ("C", "-C"), ("Z", "-Z"), ("-cfg", "--cfg")];
    let mut flags = encoded.split('\x1f');
    std::iter::from_fn(move || loop {
        // Switches of one letter may stand before another option: -gCprefer-dynamic.
        let flag = flags.next()?.strip_prefix('-').unwrap_or_default();
        let flag = flag.trim_start_matches(['g', 'h', 'O', 'q', 'v', 'V']);
        let Some((spelling, kind)) = SPELLINGS.into_iter().find(|(s, _)| flag.starts_with(s))
        else {
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
