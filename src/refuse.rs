//! Combinations that cannot work, each refused while the artifact compiles, in one sentence.

use crate::choice::choose;
use crate::decide::{decide, Allocator, Artifact, Reason};
use crate::Choice;

const IN_LIBRARIES: bool = cfg!(feature = "jemalloc-in-libraries");

/// Whether `malloc` itself becomes jemalloc's in every artifact that this crate is linked into. On Apple it does although
/// the symbols stay prefixed: jemalloc registers itself as the default zone.
const OVERRIDES_MALLOC: bool = cfg!(alloc_switch_jemalloc)
    && (cfg!(feature = "override-malloc") || cfg!(alloc_switch_unprefixed));

/// The choice, if the artifact can live with it.
pub const fn refuse(argument: Option<Allocator>, artifact: Artifact) -> Choice {
    let choice = choose(argument, artifact);
    if let (Some(Allocator::Jemalloc), Artifact::ProcMacro) = (argument, artifact) {
        panic!(
            "alloc-switch: a procedural macro cannot have jemalloc, because rustc links no allocator of its own into it: \
             write `global_allocator!()`"
        );
    }
    if matches!(artifact, Artifact::Library | Artifact::ProcMacro) && !IN_LIBRARIES {
        if choice.is_jemalloc() {
            panic!(
                "alloc-switch: jemalloc in a library artifact needs the feature `jemalloc-in-libraries`: turn it on, or \
                 leave this library to the system allocator with `global_allocator!(system)`"
            );
        }
        if OVERRIDES_MALLOC {
            panic!(
                "alloc-switch: the feature `override-malloc` puts a private jemalloc behind this library artifact's \
                 malloc: turn on the feature `jemalloc-in-libraries` as well, or build the library without \
                 `override-malloc`"
            );
        }
    }
    choice
}

/// Refuses `conf` where the policy gives the system allocator. jemalloc's options are a symbol, and the library would
/// export it for nothing. The build's vetoes do not matter here, so that a crate compiles on every target or on none.
pub const fn refuse_conf(argument: Option<Allocator>, artifact: Artifact) {
    match decide(argument, None, cfg!(alloc_switch = "jemalloc"), IN_LIBRARIES, artifact) {
        Reason::Library => panic!(
            "alloc-switch: `conf` has no effect in a library artifact, which gets the system allocator: remove it, or \
             turn on the feature `jemalloc-in-libraries`"
        ),
        Reason::Unknown => panic!(
            "alloc-switch: `conf` has no effect in an artifact that Cargo does not build, which gets the system \
             allocator: remove it, or write `global_allocator!(jemalloc, conf = …)`"
        ),
        _ => {}
    }
}
