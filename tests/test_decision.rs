//! The rule, over every combination of facts, against the three steps as a reader would write them down; and the one
//! fact that the build script has to parse.

use alloc_switch::decide::{decide, Build, Target};
use alloc_switch::{Allocator, Artifact, Choice, Reason};

#[allow(dead_code)]
#[path = "../build.rs"]
mod build_script;

const LINUX: Target<'_> = Target {
    triple: "x86_64-unknown-linux-gnu",
    arch: "x86_64",
    vendor: "unknown",
    os: "linux",
    env: "gnu",
    abi: "",
    endian: "little",
};

const WINDOWS: Target<'_> = Target {
    triple: "x86_64-pc-windows-msvc",
    arch: "x86_64",
    vendor: "pc",
    os: "windows",
    env: "msvc",
    abi: "",
    endian: "little",
};

#[test]
fn a_veto_beats_every_vote_and_a_vote_beats_the_policy() {
    let mut seen = Vec::new();
    for bits in 0..1u32 << 10 {
        let on = |bit: u32| bits >> bit & 1 == 1;
        let (cfg_system, cfg_jemalloc, off) = (on(0), on(1), on(2));
        let (miri, fuzzing, sanitizer) = (on(3), on(4), on(5));
        let (prefer_dynamic, override_malloc, listed, in_libraries) = (on(6), on(7), on(8), on(9));
        let target = if listed { LINUX } else { WINDOWS };
        let feature_jemalloc = !off;
        let build = Build {
            cfg_system,
            cfg_jemalloc,
            feature_jemalloc,
            override_malloc,
            miri,
            fuzzing,
            sanitizer,
            prefer_dynamic,
            target,
        };
        for argument in [None, Some(Allocator::System), Some(Allocator::Jemalloc)] {
            for artifact in
                [Artifact::Executable, Artifact::Library, Artifact::ProcMacro, Artifact::Unknown]
            {
                let reason = decide(argument, build.veto(), cfg_jemalloc, in_libraries, artifact);

                // glibc is the one place where overriding malloc lets a shared std live with jemalloc
                let torn = prefer_dynamic && !(override_malloc && listed);
                let veto = argument == Some(Allocator::System)
                    || cfg_system
                    || off
                    || miri
                    || fuzzing
                    || sanitizer
                    || torn
                    || !(listed || cfg_jemalloc);
                let vote = argument == Some(Allocator::Jemalloc) || cfg_jemalloc || in_libraries;
                let jemalloc = !veto
                    && artifact != Artifact::ProcMacro
                    && (vote || artifact == Artifact::Executable);
                assert_eq!(
                    reason.allocator() == Allocator::Jemalloc,
                    jemalloc,
                    "{argument:?} {build:?} {artifact:?}"
                );

                // and the reason is one that holds
                let holds = match reason {
                    Reason::MacroSystem => argument == Some(Allocator::System),
                    Reason::CfgSystem => cfg_system,
                    Reason::FeatureOff => off,
                    Reason::Miri => miri,
                    Reason::Fuzzing => fuzzing,
                    Reason::Sanitizer => sanitizer,
                    Reason::PreferDynamic => torn,
                    Reason::Target => !listed && !cfg_jemalloc,
                    Reason::MacroJemalloc => argument == Some(Allocator::Jemalloc),
                    Reason::CfgJemalloc => cfg_jemalloc,
                    Reason::InLibraries => in_libraries,
                    Reason::Executable => !vote && artifact == Artifact::Executable,
                    Reason::Library => {
                        artifact == Artifact::ProcMacro || !vote && artifact == Artifact::Library
                    }
                    Reason::Unknown => !vote && artifact == Artifact::Unknown,
                    _ => false,
                };
                assert!(holds, "{reason:?} {argument:?} {build:?} {artifact:?}");
                seen.push(reason);
            }
        }
    }
    for reason in Reason::ALL {
        assert!(seen.contains(&reason), "{reason:?} is never given");
    }
}

#[test]
fn reasons_stand_at_the_index_of_their_discriminant() {
    for (index, reason) in Reason::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, index);
    }
}

#[test]
fn the_line_is_fit_for_version_output() {
    assert_eq!(Choice::new(Reason::Library).to_string(), "system (library artifact)");
    let line = Choice::new(Reason::Executable).to_string();
    let version =
        Choice::new(Reason::Executable).version().map_or(String::new(), |v| format!(" {v}"));
    assert_eq!(line, format!("jemalloc{version} (executable artifact)"));
}

#[test]
fn cargo_tells_what_the_artifact_is() {
    use Artifact::{Executable, Library, ProcMacro, Unknown};
    assert_eq!(
        Artifact::detect(true, true, false, false, false),
        Executable,
        "binary, executable example"
    );
    assert_eq!(
        Artifact::detect(true, true, false, true, false),
        Executable,
        "unit tests of a binary"
    );
    assert_eq!(
        Artifact::detect(true, false, true, true, false),
        Executable,
        "integration test, benchmark"
    );
    assert_eq!(
        Artifact::detect(true, false, true, false, false),
        Executable,
        "the same without a harness"
    );
    assert_eq!(
        Artifact::detect(true, false, false, true, false),
        Executable,
        "unit tests of a library"
    );
    assert_eq!(Artifact::detect(true, false, false, false, false), Library);
    assert_eq!(Artifact::detect(false, false, false, false, false), Unknown);
    assert_eq!(
        Artifact::detect(false, false, false, true, false),
        Executable,
        "rustc --test by hand"
    );
    assert_eq!(Artifact::detect(true, false, false, false, true), ProcMacro);
}

#[test]
fn prefer_dynamic_is_found_in_every_spelling() {
    let on = |flags: &[&str]| build_script::prefer_dynamic(&flags.join("\x1f"));
    for flags in [
        &["-C", "prefer-dynamic"][..],
        &["-Cprefer-dynamic"],
        &["-Cprefer-dynamic=yes"],
        &["-C", "prefer-dynamic=on"],
        &["-Cprefer_dynamic"],
        &["--codegen", "prefer-dynamic"],
        &["--codegen=prefer-dynamic=y"],
        &["-O", "-Cprefer-dynamic=no", "-C", "prefer-dynamic=true", "-g"],
    ] {
        assert!(on(flags), "{flags:?}");
    }
    for flags in [
        &[][..],
        &["-Cprefer-dynamic=no"],
        &["-C", "prefer-dynamic=off"],
        &["-Cprefer-dynamic", "-Cprefer-dynamic=n"],
        &["--cfg", "prefer-dynamic"],
        &["-Copt-level=3", "--cfg", "alloc_switch=\"jemalloc\""],
    ] {
        assert!(!on(flags), "{flags:?}");
    }
}
