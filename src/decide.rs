//! The rule: facts in, a [`Reason`] out. A veto for the system allocator beats every vote for jemalloc, and the policy
//! decides only when nobody voted.
//!
//! `build.rs` includes this file to evaluate the vetoes that hold for a whole build ([`Build::veto`]); the macros
//! evaluate the rest ([`decide`]) in the root crate of an artifact, the only place that knows which artifact it is.

/// What provides an artifact's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Allocator {
    /// jemalloc, through `tikv_jemallocator::Jemalloc`.
    Jemalloc,
    /// The platform's own allocator, through `std::alloc::System`.
    System,
}

/// What the crate being compiled will become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Artifact {
    /// A program: binary, example, test or benchmark.
    Executable,
    /// A dylib, cdylib or staticlib (an rlib too, but its allocator is the final artifact's affair). Build
    /// scripts and documentation tests look the same from inside and count as libraries.
    Library,
    /// A procedural macro, a library that rustc loads. rustc counts an allocator that it registers as one of each program
    /// that uses it, and then does not link it: the program fails on an undefined `__rust_alloc`.
    ProcMacro,
    /// Not built by Cargo, so nothing tells.
    Unknown,
}

impl Artifact {
    /// Reads the variables that Cargo gives to rustc. `tmpdir` is `CARGO_TARGET_TMPDIR`, which only integration tests
    /// and benchmarks get: <https://doc.rust-lang.org/cargo/reference/environment-variables.html>.
    ///
    /// `cargo` is `CARGO`, the one variable that Cargo sets for every crate and that the others do not imitate: rules_rust
    /// sets `CARGO_CRATE_NAME`, `CARGO_PKG_*` and `CARGO_MANIFEST_DIR`, buildRustCrate the last two, Buck2 what the BUCK
    /// file says. Each passes `--test` for a test.
    // https://github.com/bazelbuild/rules_rust/blob/e22086c0ad4575b81d92979a90d353095a516463/rust/private/rustc.bzl#L141
    // https://github.com/NixOS/nixpkgs/blob/master/pkgs/build-support/rust/build-rust-crate/configure-crate.nix
    // https://github.com/facebook/buck2/blob/main/prelude/rust/cargo_package.bzl
    pub const fn detect(
        cargo: bool,
        bin_name: bool,
        tmpdir: bool,
        test: bool,
        proc_macro: bool,
    ) -> Self {
        if proc_macro {
            Artifact::ProcMacro
        } else if bin_name || tmpdir || test {
            Artifact::Executable
        } else if cargo {
            Artifact::Library
        } else {
            Artifact::Unknown
        }
    }
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
    /// Veto: the build is for a fuzzer, whose sanitizer must see every allocation.
    Fuzzing,
    /// Veto: a sanitizer is on, which must see every allocation.
    Sanitizer,
    /// Veto: `-C prefer-dynamic`; a shared std frees the program's memory with libc's `free`.
    PreferDynamic,
    /// Veto: the target is not on the list of targets where jemalloc is known to work.
    Target,
    /// Vote: the macro's argument is `jemalloc`.
    MacroJemalloc,
    /// Vote: whoever builds passed `--cfg alloc_switch="jemalloc"`.
    CfgJemalloc,
    /// Vote: the feature `jemalloc-in-libraries` is on.
    InLibraries,
    /// Policy: executables get jemalloc.
    Executable,
    /// Policy: libraries get the system allocator, because their host owns the process.
    Library,
    /// Policy: an artifact of unknown type gets the system allocator, which is never wrong.
    Unknown,
}

impl Reason {
    /// Every reason, each at the index of its discriminant.
    pub const ALL: [Reason; 14] = [
        Reason::MacroSystem,
        Reason::CfgSystem,
        Reason::FeatureOff,
        Reason::Miri,
        Reason::Fuzzing,
        Reason::Sanitizer,
        Reason::PreferDynamic,
        Reason::Target,
        Reason::MacroJemalloc,
        Reason::CfgJemalloc,
        Reason::InLibraries,
        Reason::Executable,
        Reason::Library,
        Reason::Unknown,
    ];

    /// The allocator that this reason is a reason for.
    pub const fn allocator(self) -> Allocator {
        match self {
            Reason::MacroJemalloc
            | Reason::CfgJemalloc
            | Reason::InLibraries
            | Reason::Executable => Allocator::Jemalloc,
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
            Reason::Fuzzing => "cfg(fuzzing)",
            Reason::Sanitizer => "sanitizer",
            Reason::PreferDynamic => "-C prefer-dynamic",
            Reason::Target => "target not on the jemalloc list",
            Reason::MacroJemalloc => "global_allocator!(jemalloc)",
            Reason::CfgJemalloc => "--cfg alloc_switch=\"jemalloc\"",
            Reason::InLibraries => "feature jemalloc-in-libraries",
            Reason::Executable => "executable artifact",
            Reason::Library => "library artifact",
            Reason::Unknown => "unknown artifact, not built by Cargo",
        }
    }
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
    /// `cfg(fuzzing)` is set.
    pub fuzzing: bool,
    /// `cfg(sanitize = "…")` is set, to whatever value.
    pub sanitizer: bool,
    /// `-C prefer-dynamic` is among the rustc flags.
    pub prefer_dynamic: bool,
    /// What is built for.
    pub target: Target<'a>,
}

impl Build<'_> {
    /// Step 1 for the whole build: the first veto that applies. `None` means that jemalloc is there for the asking.
    pub fn veto(&self) -> Option<Reason> {
        // With an unprefixed jemalloc a shared std and the program meet in one malloc. Shown for glibc only.
        let shared_std_is_safe =
            self.override_malloc && self.target.os == "linux" && self.target.env == "gnu";
        [
            (self.cfg_system, Reason::CfgSystem),
            (!self.feature_jemalloc, Reason::FeatureOff),
            (self.miri, Reason::Miri),
            (self.fuzzing, Reason::Fuzzing),
            (self.sanitizer || self.target.has_sanitizer(), Reason::Sanitizer),
            (self.prefer_dynamic && !shared_std_is_safe, Reason::PreferDynamic),
            (!self.target.is_listed() && !self.cfg_jemalloc, Reason::Target),
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
    /// The allow-list: where jemalloc is known to build, start and stay. `Cargo.toml` states it again for Cargo.
    pub fn is_listed(&self) -> bool {
        match self.os {
            // A renamed vendor (openwrt, unikraft) has kernels of its own.
            "linux" if self.vendor == "unknown" && !matches!(self.abi, "ilp32" | "x32") => {
                match (self.env, self.arch, self.endian) {
                    // Run here, docs/targets.md: x86_64, i686, i586, aarch64, armv7, thumbv7neon, arm, riscv64gc, s390x.
                    // The other triples of these architectures are the same code in another variant, and not run.
                    ("gnu", "x86" | "x86_64" | "arm" | "aarch64" | "riscv64", "little")
                    | ("gnu", "s390x", _) => true,
                    // Run here: x86_64, aarch64. s390x is not. On the others a static program does not link: they need
                    // `__ffsdi2`, which is in libgcc alone. https://github.com/jemalloc/jemalloc/issues/1464
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

    /// The page size to give to jemalloc, as its log2, where it would assume one that some kernels exceed and abort there
    /// at start-up; a size above the kernel's works. jemalloc knows the triples aarch64-unknown-linux-*, *-linux-android
    /// and aarch64-apple-darwin; elsewhere it takes the build host's size, or 4 KiB when cross-compiling.
    // https://github.com/jemalloc/jemalloc/blob/5.3.1/configure.ac (LG_PAGE). The sizes are the largest that Linux's
    // arch/*/Kconfig offers, and what Rust's own jemalloc needed: https://github.com/rust-lang/rust/pull/146444
    pub fn lg_page(&self) -> Option<u8> {
        match self.arch {
            "powerpc" | "powerpc64" | "loongarch64" => Some(16),
            arch if arch.starts_with("mips") => Some(16),
            arch if arch.starts_with("sparc") => Some(13),
            "aarch64"
                if self.os == "linux" && !self.triple.starts_with("aarch64-unknown-linux-") =>
            {
                Some(16)
            }
            "aarch64" if self.triple.starts_with("arm64e-apple-") => Some(14),
            _ => None,
        }
    }

    /// Whether the triple itself turns a sanitizer on, which stable rustc shows in no cfg.
    pub fn has_sanitizer(&self) -> bool {
        ["asan", "hwasan", "msan", "tsan"].iter().any(|suffix| self.triple.ends_with(suffix))
    }
}

/// The whole rule for one artifact, `argument` being the macro's and `veto` that of the [`Build`].
pub const fn decide(
    argument: Option<Allocator>,
    veto: Option<Reason>,
    cfg_jemalloc: bool,
    in_libraries: bool,
    artifact: Artifact,
) -> Reason {
    // 1. Vetoes
    if let Some(Allocator::System) = argument {
        return Reason::MacroSystem;
    }
    if let Some(reason) = veto {
        return reason;
    }
    if let Artifact::ProcMacro = artifact {
        return Reason::Library;
    }
    // 2. Votes
    if let Some(Allocator::Jemalloc) = argument {
        return Reason::MacroJemalloc;
    }
    if cfg_jemalloc {
        return Reason::CfgJemalloc;
    }
    if in_libraries {
        return Reason::InLibraries;
    }
    // 3. Policy
    match artifact {
        Artifact::Executable => Reason::Executable,
        Artifact::Library | Artifact::ProcMacro => Reason::Library,
        Artifact::Unknown => Reason::Unknown,
    }
}
