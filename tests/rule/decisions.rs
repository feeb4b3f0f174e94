//! Every combination of facts, against the rule's five steps as a reader would write them down.

use std::collections::HashSet;

use crate::rule::{decide, Allocator, Argument, Artifact, BuildFacts, Caller, CargoEnv, Reason};

const ARGUMENTS: [Argument; 5] = [
    Argument::Default,
    Argument::Jemalloc,
    Argument::System,
    Argument::Executable,
    Argument::Custom,
];

const ARTIFACTS: [Artifact; 4] =
    [Artifact::Executable, Artifact::Library, Artifact::ProcMacro, Artifact::NotBuiltByCargo];

fn all_builds() -> impl Iterator<Item = BuildFacts> {
    (0..1_u32 << 9).map(|facts| {
        let on = |fact: u32| facts >> fact & 1 == 1;
        BuildFacts {
            cfg_system: on(0),
            cfg_jemalloc: on(1),
            feature_jemalloc: on(2),
            miri: on(3),
            kani: on(4),
            fuzzing: on(5),
            sanitizer: on(6),
            prefer_dynamic: on(7),
            target_allowed: on(8),
        }
    })
}

fn five_steps(caller: Caller, build: &BuildFacts) -> (Allocator, Reason) {
    use Allocator::{Custom, Fallback, Jemalloc, System};

    let on_jemalloc_alone = caller.argument != Argument::Custom;
    let vetoes = [
        (caller.argument == Argument::System, Reason::MacroSystem),
        (build.cfg_system, Reason::CfgSystem),
        (!build.feature_jemalloc && on_jemalloc_alone, Reason::FeatureOff),
        (build.miri, Reason::Miri),
        (build.kani, Reason::Kani),
        (build.fuzzing, Reason::Fuzzing),
        (build.sanitizer, Reason::Sanitizer),
        (build.prefer_dynamic, Reason::PreferDynamic),
        (!build.target_allowed && on_jemalloc_alone, Reason::UnlistedTarget),
    ];
    // 2 to 4: what the artifact gets where nothing is vetoed
    let wanted = if caller.artifact == Artifact::ProcMacro {
        (System, Reason::ProcMacro)
    } else if caller.argument == Argument::Jemalloc {
        (Jemalloc, Reason::MacroJemalloc)
    } else if caller.argument == Argument::Custom {
        (Custom, Reason::MacroCustom)
    } else if caller.artifact == Artifact::Executable {
        (Jemalloc, Reason::Executable)
    } else if caller.artifact == Artifact::Library {
        (System, Reason::Library)
    } else if build.cfg_jemalloc {
        (Jemalloc, Reason::CfgJemalloc)
    } else {
        (System, Reason::NotBuiltByCargo)
    };
    // 1
    match vetoes.iter().find(|(holds, _)| *holds) {
        None => wanted,
        // 5: it is the last of them, so that no other holds
        Some((_, Reason::UnlistedTarget)) if caller.fallback && wanted.0 == Jemalloc => {
            (Fallback, Reason::UnlistedTarget)
        }
        Some((_, veto)) => (System, *veto),
    }
}

#[test]
fn every_combination_of_facts_is_decided_in_five_steps() {
    let mut reasons = HashSet::new();
    for build in all_builds() {
        for argument in ARGUMENTS {
            for artifact in ARTIFACTS {
                for fallback in [false, true] {
                    let caller = Caller { argument, artifact, fallback };
                    let decision = decide(caller, &build);
                    assert_eq!(decision, five_steps(caller, &build), "{caller:?} {build:?}");
                    reasons.insert(decision.1);
                }
            }
        }
    }
    assert_eq!(reasons.len(), Reason::ALL.len(), "a reason is never given");
}

/// The table of what Cargo sets for each unit. The author's `executable` makes an executable of
/// everything but a procedural macro, and no other word changes what the artifact is.
#[test]
fn variables_and_executable_alone_say_what_the_artifact_is() {
    use Artifact::{Executable, Library, NotBuiltByCargo, ProcMacro};

    let none = CargoEnv {
        cargo: false,
        bin_name: false,
        target_tmpdir: false,
        test: false,
        proc_macro: false,
    };
    let all =
        CargoEnv { cargo: true, bin_name: true, target_tmpdir: true, test: true, proc_macro: true };
    let cargo = CargoEnv { cargo: true, ..none };
    for (variables, artifact, unit) in [
        (CargoEnv { bin_name: true, ..cargo }, Executable, "binary, executable example"),
        (CargoEnv { bin_name: true, test: true, ..cargo }, Executable, "unit tests of a binary"),
        (CargoEnv { target_tmpdir: true, test: true, ..cargo }, Executable, "integration test"),
        (CargoEnv { target_tmpdir: true, ..cargo }, Executable, "benchmark without a harness"),
        (CargoEnv { test: true, ..cargo }, Executable, "unit tests of a library"),
        (cargo, Library, "library of any crate type, cdylib example, build script, doctest"),
        (none, NotBuiltByCargo, "rustc by hand"),
        (CargoEnv { test: true, ..none }, Executable, "rustc --test by hand"),
        (CargoEnv { proc_macro: true, ..cargo }, ProcMacro, "procedural macro"),
        (CargoEnv { proc_macro: true, ..none }, ProcMacro, "procedural macro by hand"),
        // Whatever else is set.
        (all, ProcMacro, "procedural macro in an outer environment"),
        (CargoEnv { bin_name: true, ..none }, Executable, "rustc by hand for a binary"),
    ] {
        for argument in ARGUMENTS {
            let expected = match argument {
                Argument::Executable if artifact != ProcMacro => Executable,
                _ => artifact,
            };
            let caller = Caller::new(argument, true, variables);
            assert_eq!(caller.artifact, expected, "{argument:?} in {unit}");
            assert_eq!((caller.argument, caller.fallback), (argument, true));
        }
    }
}

/// Programs print them and people search for them.
#[test]
fn reasons_are_worded_as_documented() {
    let words = [
        "global_allocator!(system)",
        "--cfg alloc_switch=\"system\"",
        "feature jemalloc is off",
        "cfg(miri)",
        "cfg(kani)",
        "cfg(fuzzing)",
        "sanitizer",
        "-C prefer-dynamic",
        "target not on the jemalloc list",
        "procedural macro",
        "global_allocator!(jemalloc)",
        "global_allocator!(custom)",
        "executable artifact",
        "library artifact",
        "--cfg alloc_switch=\"jemalloc\"",
        "unknown artifact, not built by Cargo",
    ];
    assert_eq!(Reason::ALL.iter().map(|reason| reason.as_str()).collect::<Vec<_>>(), words);
}
