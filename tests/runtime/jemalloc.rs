//! The allocator that the policy gives to a test program: jemalloc, where it is to be had. And the
//! public interface of the core, used as a program that was written against it would use it, each
//! item by its name and with its type.

use std::alloc::GlobalAlloc;
use std::fmt;

use alloc_switch::{conf, Allocator, Artifact, Choice, Chosen, Reason};

#[path = "../support/global_alloc.rs"]
mod global_alloc;

alloc_switch::global_allocator!(static ALLOCATOR);

const CHOICE: Choice = alloc_switch::choice!();

type System = alloc_switch::switch!(system);

fn plain_value<T: Copy + fmt::Debug + PartialEq + Eq + Send + Sync + 'static>() {}

/// Code that is generic over the decision can name what it needs.
fn generic<D>(chosen: &Chosen<D>) -> String
where
    Chosen<D>: GlobalAlloc + fmt::Display + fmt::Debug + Copy,
{
    format!("{chosen} {chosen:?}")
}

#[test]
fn every_type_has_what_a_plain_value_has() {
    plain_value::<Allocator>();
    plain_value::<Artifact>();
    plain_value::<Reason>();
    plain_value::<Choice>();
    let _: &[Reason] = Reason::ALL;
    let _: [Allocator; 4] =
        [Allocator::Jemalloc, Allocator::System, Allocator::Fallback, Allocator::Custom];
    let _: [&str; 3] = [conf::GIVE_BACK, conf::PROFILING, conf::PROFILING_ARMED];
    let _: Option<&str> = conf::ENVIRONMENT;
    assert_eq!(std::mem::size_of::<System>(), 0);
    assert!(generic(&ALLOCATOR).starts_with(&ALLOCATOR.to_string()));
}

#[test]
fn a_choice_is_known_while_the_program_compiles() {
    const SYSTEM: Choice = alloc_switch::choice!(system);
    const REASON: Reason = SYSTEM.reason();
    const ALLOCATOR: Allocator = SYSTEM.allocator();
    const VERSION: Option<&str> = SYSTEM.version();
    const _: () = assert!(!SYSTEM.is_jemalloc() && VERSION.is_none());
    const OF_A_VALUE: Choice = System::new().choice();
    assert_eq!(OF_A_VALUE, SYSTEM);
    assert_eq!((ALLOCATOR, REASON), (Allocator::System, Reason::MacroSystem));
    assert_eq!((SYSTEM.name(), REASON.as_str()), ("system", "global_allocator!(system)"));
}

#[test]
fn the_line_is_fit_for_version_output() {
    assert_eq!(ALLOCATOR.choice(), CHOICE);
    assert_eq!(ALLOCATOR.to_string(), CHOICE.to_string());
    let version = CHOICE.version().map_or(String::new(), |version| format!(" {version}"));
    let (name, reason) = (CHOICE.name(), CHOICE.reason().as_str());
    assert_eq!(CHOICE.to_string(), format!("{name}{version} ({reason})"));
    assert_eq!(CHOICE.is_jemalloc(), CHOICE.allocator() == Allocator::Jemalloc);
    #[cfg(alloc_switch_jemalloc)]
    assert_eq!((name, CHOICE.reason()), ("jemalloc", Reason::Executable));
}
