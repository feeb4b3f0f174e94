//! Every combination of facts, against the rule's five steps as a reader would write them down.

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

/// Every combination of `bits` facts, as a function from the number of a fact to the fact.
fn combinations(bits: u32) -> impl Iterator<Item = impl Fn(u32) -> bool> {
    (0..1_u32 << bits).map(|facts| move |bit| facts >> bit & 1 == 1)
}

fn all_builds() -> impl Iterator<Item = BuildFacts> {
    combinations(9).map(|on| BuildFacts {
        cfg_system: on(0),
        cfg_jemalloc: on(1),
        feature_jemalloc: on(2),
        miri: on(3),
        kani: on(4),
        fuzzing: on(5),
        sanitizer: on(6),
        prefer_dynamic: on(7),
        target_allowed: on(8),
    })
}

fn all_callers() -> impl Iterator<Item = Caller> {
    ARGUMENTS.into_iter().flat_map(|argument| {
        ARTIFACTS.into_iter().flat_map(move |artifact| {
            [false, true].map(|fallback| Caller { argument, artifact, fallback })
        })
    })
}

/// Every combination of what tells a crate what it is.
fn all_variables() -> impl Iterator<Item = CargoEnv> {
    combinations(5).map(|on| CargoEnv {
        cargo: on(0),
        bin_name: on(1),
        target_tmpdir: on(2),
        test: on(3),
        proc_macro: on(4),
    })
}

/// The vetoes in their order, and whether each is on jemalloc alone.
fn vetoes(build: &BuildFacts) -> [(bool, Reason, bool); 8] {
    [
        (build.cfg_system, Reason::CfgSystem, false),
        (!build.feature_jemalloc, Reason::FeatureOff, true),
        (build.miri, Reason::Miri, false),
        (build.kani, Reason::Kani, false),
        (build.fuzzing, Reason::Fuzzing, false),
        (build.sanitizer, Reason::Sanitizer, false),
        (build.prefer_dynamic, Reason::PreferDynamic, false),
        (!build.target_allowed, Reason::UnlistedTarget, true),
    ]
}

fn five_steps(caller: Caller, build: &BuildFacts) -> (Allocator, Reason) {
    use Allocator::{Custom, Fallback, Jemalloc, System};

    let is_custom = caller.argument == Argument::Custom;
    // 2 to 4: what the artifact gets where nothing is vetoed
    let wanted = if caller.artifact == Artifact::ProcMacro {
        (System, Reason::ProcMacro)
    } else if caller.argument == Argument::Jemalloc {
        (Jemalloc, Reason::MacroJemalloc)
    } else if is_custom {
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
    if caller.argument == Argument::System {
        return (System, Reason::MacroSystem);
    }
    let mut holding = vetoes(build)
        .into_iter()
        .filter(|(holds, _, on_jemalloc_alone)| *holds && !(is_custom && *on_jemalloc_alone));
    match holding.next() {
        None => wanted,
        // 5: it is the last of them, so that no other holds
        Some((_, Reason::UnlistedTarget, _)) if caller.fallback && wanted.0 == Jemalloc => {
            (Fallback, Reason::UnlistedTarget)
        }
        Some((_, veto, _)) => (System, veto),
    }
}

#[test]
fn every_combination_of_facts_is_decided_in_five_steps() {
    let mut seen = Vec::new();
    for build in all_builds() {
        for caller in all_callers() {
            let decision = decide(caller, &build);
            assert_eq!(decision, five_steps(caller, &build), "{caller:?} {build:?}");
            seen.push(decision);
        }
    }
    for reason in Reason::ALL {
        assert!(seen.iter().any(|(_, seen)| seen == reason), "{reason:?} is never given");
    }
}

/// What the build script needs to know: whether jemalloc, or what stands in its place, may be had
/// by anybody.
#[test]
fn the_veto_of_a_build_is_the_first_that_holds() {
    for build in all_builds() {
        for argument in [Argument::Default, Argument::Custom] {
            let is_custom = argument == Argument::Custom;
            let expected = vetoes(&build)
                .into_iter()
                .find(|(holds, _, on_jemalloc_alone)| *holds && !(is_custom && *on_jemalloc_alone))
                .map(|(_, veto, _)| veto);
            assert_eq!(build.veto(argument), expected, "custom: {is_custom}, {build:?}");
        }
    }
}

/// `--cfg alloc_switch="jemalloc"` lifts the target's veto and speaks for artifacts that Cargo does
/// not build, and for no other.
#[test]
fn the_cfg_for_jemalloc_decides_for_no_artifact_that_cargo_builds() {
    for build in all_builds() {
        for caller in all_callers().filter(|c| c.artifact != Artifact::NotBuiltByCargo) {
            let with = |cfg_jemalloc| decide(caller, &BuildFacts { cfg_jemalloc, ..build });
            assert_eq!(with(false), with(true), "{caller:?} {build:?}");
        }
    }
}

#[test]
fn only_who_names_a_fallback_gets_one() {
    for build in all_builds() {
        for caller in all_callers() {
            let (allocator, reason) = decide(caller, &build);
            if allocator == Allocator::Fallback {
                assert!(caller.fallback, "{caller:?} {build:?}");
                assert_eq!(reason, Reason::UnlistedTarget);
                let listed = BuildFacts { target_allowed: true, ..build };
                assert_eq!(decide(caller, &listed).0, Allocator::Jemalloc, "{caller:?} {build:?}");
            }
        }
    }
}

/// The table of what Cargo sets for each unit.
#[test]
fn cargo_tells_what_the_artifact_is() {
    use Artifact::{Executable, Library, NotBuiltByCargo, ProcMacro};

    let none = CargoEnv {
        cargo: false,
        bin_name: false,
        target_tmpdir: false,
        test: false,
        proc_macro: false,
    };
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
    ] {
        let caller = Caller::new(Argument::Default, false, variables);
        assert_eq!(caller.artifact, artifact, "{unit}");
    }
}

/// The author's `executable` stands for the variables of an executable, whatever is set. Only a
/// procedural macro stays what it is, and no other word changes what the artifact is.
#[test]
fn executable_alone_says_what_the_artifact_is() {
    for variables in all_variables() {
        let CargoEnv { cargo, bin_name, target_tmpdir, test, proc_macro } = variables;
        for argument in ARGUMENTS {
            let expected = match (proc_macro, argument) {
                (true, _) => Artifact::ProcMacro,
                (_, Argument::Executable) => Artifact::Executable,
                _ if bin_name || target_tmpdir || test => Artifact::Executable,
                _ if cargo => Artifact::Library,
                _ => Artifact::NotBuiltByCargo,
            };
            for fallback in [false, true] {
                let caller = Caller::new(argument, fallback, variables);
                assert_eq!(caller.artifact, expected, "{argument:?} {variables:?}");
                assert_eq!((caller.argument, caller.fallback), (argument, fallback));
            }
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
    for (index, &reason) in Reason::ALL.iter().enumerate() {
        assert_eq!(reason as usize, index, "a reason stands at the index of its discriminant");
    }
}
