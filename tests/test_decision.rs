//! The rule, over every combination of facts, against its five steps as a reader would write them
//! down; and what the build script has to parse.

use alloc_switch::rule::{self, decide, falls_back, Argument, Build, Caller, Target, Variables};
use alloc_switch::{Allocator, Artifact, Choice, Reason};

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

const ARGUMENTS: [Argument; 4] =
    [Argument::Nothing, Argument::Jemalloc, Argument::System, Argument::Executable];

/// Nothing set.
const NONE: Variables = Variables {
    cargo: false,
    bin_name: false,
    target_tmpdir: false,
    test: false,
    proc_macro: false,
};

/// Every combination of what tells a crate what it is.
fn all_variables() -> impl Iterator<Item = Variables> {
    (0..1u32 << 5).map(|bits| {
        let on = |bit: u32| bits >> bit & 1 == 1;
        Variables {
            cargo: on(0),
            bin_name: on(1),
            target_tmpdir: on(2),
            test: on(3),
            proc_macro: on(4),
        }
    })
}

/// Every combination of the facts of a build.
fn all_builds() -> impl Iterator<Item = Build<'static>> {
    (0..1u32 << 10).map(|bits| {
        let on = |bit: u32| bits >> bit & 1 == 1;
        Build {
            cfg_system: on(0),
            cfg_jemalloc: on(1),
            feature_jemalloc: on(2),
            override_malloc: on(3),
            miri: on(4),
            kani: on(5),
            fuzzing: on(6),
            sanitizer: on(7),
            prefer_dynamic: on(8),
            target: if on(9) { LINUX } else { WINDOWS },
        }
    })
}

/// The five steps: an allocator and the reason for it. `None` for the allocator is a fallback's, if
/// the macro names one, and else the system's.
fn five_steps(
    argument: Argument,
    artifact: Artifact,
    build: &Build,
) -> (Option<Allocator>, Reason) {
    use Allocator::{Jemalloc, System};

    let listed = build.target.triple == LINUX.triple;
    // glibc is the one place where overriding malloc lets a shared std live with jemalloc
    let torn = build.prefer_dynamic && !(build.override_malloc && listed);

    // 2 to 4, which also say whether 5 applies
    let wanted = if artifact == Artifact::ProcMacro {
        (System, Reason::ProcMacro)
    } else if argument == Argument::Jemalloc {
        (Jemalloc, Reason::MacroJemalloc)
    } else if artifact == Artifact::Executable {
        (Jemalloc, Reason::Executable)
    } else if artifact == Artifact::Library {
        (System, Reason::Library)
    } else if build.cfg_jemalloc {
        (Jemalloc, Reason::CfgJemalloc)
    } else {
        (System, Reason::Unknown)
    };

    // 1
    let vetoes = [
        (argument == Argument::System, Reason::MacroSystem),
        (build.cfg_system, Reason::CfgSystem),
        (!build.feature_jemalloc, Reason::FeatureOff),
        (build.miri, Reason::Miri),
        (build.kani, Reason::Kani),
        (build.fuzzing, Reason::Fuzzing),
        (build.sanitizer, Reason::Sanitizer),
        (torn, Reason::PreferDynamic),
    ];
    if let Some((_, veto)) = vetoes.into_iter().find(|(holds, _)| *holds) {
        return (Some(System), veto);
    }
    match (listed || build.cfg_jemalloc, wanted) {
        (true, (allocator, reason)) => (Some(allocator), reason),
        // 5
        (false, (Jemalloc, _)) => (None, Reason::UnlistedTarget),
        (false, _) => (Some(System), Reason::UnlistedTarget),
    }
}

#[test]
fn every_combination_of_facts_is_decided_in_five_steps() {
    let mut seen = Vec::new();
    for build in all_builds() {
        let veto = build.veto();
        for argument in ARGUMENTS {
            for artifact in
                [Artifact::Executable, Artifact::Library, Artifact::ProcMacro, Artifact::Unknown]
            {
                let caller = Caller { argument, artifact };
                let context = format!("{caller:?} {build:?}");
                let (allocator, reason) = five_steps(argument, artifact, &build);
                assert_eq!(decide(caller, veto, build.cfg_jemalloc), reason, "{context}");
                let fallback = falls_back(caller, veto, build.cfg_jemalloc);
                assert_eq!(fallback, allocator.is_none(), "{context}");
                assert_eq!(reason.allocator(), allocator.unwrap_or(Allocator::System), "{context}");
                seen.push(reason);
            }
        }
    }
    for reason in Reason::ALL {
        assert!(seen.contains(reason), "{reason:?} is never given");
    }
}

/// `--cfg alloc_switch="jemalloc"` lifts the target's veto and speaks for artifacts of unknown
/// type, and for no other.
#[test]
fn the_cfg_turns_no_library_to_jemalloc() {
    for artifact in [Artifact::Library, Artifact::ProcMacro] {
        for argument in [Argument::Nothing, Argument::System] {
            for cfg_jemalloc in [false, true] {
                let reason = decide(Caller { argument, artifact }, None, cfg_jemalloc);
                assert_eq!(reason.allocator(), Allocator::System, "{artifact:?} {argument:?}");
            }
        }
    }
}

#[test]
fn reasons_stand_at_the_index_of_their_discriminant() {
    for (index, &reason) in Reason::ALL.iter().enumerate() {
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

/// The table of what Cargo sets for each unit.
#[test]
fn cargo_tells_what_the_artifact_is() {
    use Artifact::{Executable, Library, ProcMacro, Unknown};
    let cargo = Variables { cargo: true, ..NONE };
    for (variables, artifact, unit) in [
        (Variables { bin_name: true, ..cargo }, Executable, "binary, executable example"),
        (Variables { bin_name: true, test: true, ..cargo }, Executable, "unit tests of a binary"),
        (
            Variables { target_tmpdir: true, test: true, ..cargo },
            Executable,
            "integration test, benchmark",
        ),
        (Variables { target_tmpdir: true, ..cargo }, Executable, "the same without a harness"),
        (Variables { test: true, ..cargo }, Executable, "unit tests of a library"),
        (cargo, Library, "library of any crate type, cdylib example, build script, doctest"),
        (NONE, Unknown, "rustc by hand"),
        (Variables { test: true, ..NONE }, Executable, "rustc --test by hand"),
        (Variables { proc_macro: true, ..cargo }, ProcMacro, "procedural macro"),
        (Variables { proc_macro: true, ..NONE }, ProcMacro, "procedural macro by hand"),
    ] {
        assert_eq!(Caller::new(Argument::Nothing, variables).artifact, artifact, "{unit}");
    }
}

/// The author's `executable` stands for the variables of an executable, whatever is set. Only a
/// procedural macro stays what it is, and no other word changes what the artifact is.
#[test]
fn executable_says_what_the_artifact_is() {
    for variables in all_variables() {
        let says = Caller::new(Argument::Executable, variables);
        assert_eq!(says.argument, Argument::Executable);
        let expected =
            if variables.proc_macro { Artifact::ProcMacro } else { Artifact::Executable };
        assert_eq!(says.artifact, expected, "{variables:?}");
        let [nothing, jemalloc, system] = [Argument::Nothing, Argument::Jemalloc, Argument::System]
            .map(|argument| {
                let caller = Caller::new(argument, variables);
                assert_eq!(caller.argument, argument);
                caller.artifact
            });
        assert!(nothing == jemalloc && nothing == system, "{variables:?}");
    }
}

/// Cargo hands flags on in one string, and people spell an option in several ways.
#[test]
fn flags_are_options_with_their_values() {
    let flags = |flags: &[&str]| {
        let encoded = flags.join("\x1f");
        let found = rule::flags(&encoded);
        found.map(|(kind, name, value)| format!("{kind} {name} {value:?}")).collect::<Vec<_>>()
    };
    assert_eq!(flags(&[]), [""; 0]);
    let system = "--cfg alloc-switch Some(\"system\")";
    for spelling in [
        &["--cfg", "alloc_switch=\"system\""][..],
        &["--cfg=alloc_switch=\"system\""],
        &["--cfg", "alloc_switch = \"system\""],
        &["-O", "--cfg", "alloc_switch=\"system\"", "-g"],
    ] {
        assert_eq!(flags(spelling), [system], "{spelling:?}");
    }
    assert_eq!(flags(&["--cfg", "kani"]), ["--cfg kani None"]);
    for spelling in
        [&["-Zsanitizer=address"][..], &["-Z", "sanitizer=address"], &["-gOZsanitizer=address"]]
    {
        assert_eq!(flags(spelling), ["-Z sanitizer Some(\"address\")"], "{spelling:?}");
    }
    assert_eq!(
        flags(&["-Clinker=cc", "--cfg"]),
        ["-C linker Some(\"cc\")"],
        "one without its option"
    );
}

#[test]
fn prefer_dynamic_is_found_in_every_spelling() {
    let on = |flags: &[&str]| rule::prefer_dynamic(&flags.join("\x1f"));
    for flags in [
        &["-C", "prefer-dynamic"][..],
        &["-Cprefer-dynamic"],
        &["-gCprefer-dynamic"],
        &["-OgC", "prefer-dynamic"],
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
