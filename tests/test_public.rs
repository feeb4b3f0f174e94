//! The public interface, used as a program that was written against it would use it: each item by
//! its name and with its type. What breaks this breaks a user. `cargo semver-checks` will say more
//! once there is a release to compare with.

use std::alloc::{GlobalAlloc, Layout};
use std::fmt;
use std::hash::Hash;
use std::io;
use std::path::Path;
use std::ptr::NonNull;

use alloc_switch::{
    conf, Allocator, Artifact, Choice, ControlValue, Error, Handle, InPlaceAlloc, Options, Reason,
    ReportForm, SelfCheckError, Stats, Switch, ThreadStats,
};

#[path = "support/plain.rs"]
mod plain;

use plain::Plain;

alloc_switch::global_allocator!(static ALLOCATOR);

type Chosen = alloc_switch::switch!(system);

/// A handle of a user's own has to say nothing but its choice.
struct Mine;

impl Handle for Mine {
    fn choice(&self) -> Choice {
        Choice::new(Reason::MacroSystem)
    }
}

fn plain_value<T: Copy + fmt::Debug + PartialEq + Eq + Send + Sync + 'static>() {}

fn hashed<T: Hash>() {}

/// Code that is generic over the decision can name what it needs.
fn generic<D>(switch: &Switch<D>) -> String
where
    Switch<D>: Handle + GlobalAlloc + InPlaceAlloc + fmt::Display + fmt::Debug + Copy,
{
    let _: Option<Stats> = switch.stats();
    format!("{switch} {switch:?}")
}

#[test]
fn types() {
    plain_value::<Allocator>();
    plain_value::<Artifact>();
    plain_value::<Reason>();
    plain_value::<Choice>();
    plain_value::<Stats>();
    plain_value::<ThreadStats>();
    plain_value::<ReportForm>();
    plain_value::<Error>();
    plain_value::<SelfCheckError>();
    hashed::<Choice>();
    hashed::<Reason>();
    let _: &[Reason] = Reason::ALL;
    let _: [Allocator; 3] = [Allocator::Jemalloc, Allocator::System, Allocator::Fallback];
    let Stats { allocated, active, metadata, resident, mapped, retained, .. } = Stats::default();
    let _: [Option<usize>; 6] = [allocated, active, metadata, resident, mapped, retained];
    let ThreadStats { allocated, deallocated, .. } = ThreadStats::default();
    let _: [u64; 2] = [allocated, deallocated];
    let _: [&str; 4] =
        [conf::ONE_ARENA, conf::PROFILING, conf::PROFILING_ARMED, conf::BENCHMARKING];
    let _: Option<&str> = conf::ENVIRONMENT;
    assert_eq!(std::mem::size_of::<Chosen>(), 0);
    generic(&ALLOCATOR);
}

#[test]
fn functions() {
    const CHOICE: Choice = alloc_switch::choice!(system);
    const REASON: Reason = CHOICE.reason();
    const ALLOCATOR: Allocator = CHOICE.allocator();
    const VERSION: Option<&str> = CHOICE.version();
    const _: () = assert!(!CHOICE.is_jemalloc() && VERSION.is_none());
    let _: &'static str = CHOICE.name();
    let _: &'static str = REASON.as_str();
    assert_eq!(REASON.allocator(), ALLOCATOR);

    // The methods are those of the trait, which may be used without its type.
    let _: fn(&Mine) -> Choice = <Mine as Handle>::choice;
    let _: fn(&Mine) -> Result<(), SelfCheckError> = <Mine as Handle>::self_check;
    let _: fn(&Mine) -> Option<Stats> = <Mine as Handle>::stats;
    let _: fn(&Mine) -> Option<ThreadStats> = <Mine as Handle>::thread_stats;
    let _: fn(&Mine) -> Option<Options> = <Mine as Handle>::options;
    let _: fn(&Mine, &mut dyn fmt::Write, ReportForm) -> Result<(), Error> =
        <Mine as Handle>::report;
    let _: fn(&Mine) -> Result<(), Error> = <Mine as Handle>::purge;
    let _: fn(&Mine, bool) -> Result<(), Error> = <Mine as Handle>::background_threads;
    let _: fn(&Mine) -> bool = <Mine as Handle>::is_profiling;
    let _: fn(&Mine) -> Result<(), Error> = <Mine as Handle>::start_profile;
    let _: fn(&Mine) -> Result<(), Error> = <Mine as Handle>::stop_profile;
    let _: fn(&Mine, Option<u32>) -> Result<(), Error> = <Mine as Handle>::reset_profile;
    let _: fn(&Mine, &Path) -> Result<(), Error> = <Mine as Handle>::dump_profile;
    let _: fn(&Mine, &mut dyn io::Write) -> Result<(), Error> = <Mine as Handle>::dump_profile_to;

    let switch = alloc_switch::switch!(system);
    let _: Choice = switch.choice();
    let _: Result<(), SelfCheckError> = switch.self_check();
    let _: Option<ThreadStats> = switch.thread_stats();
    let _: Result<(), Error> = switch.dump_profile("/nowhere");
    let _: Result<u32, Error> = switch.read_control("arenas.narenas");
    let _: Result<(), Error> = switch.write_control("epoch", 1_u64);
    let _: Result<(), Error> = switch.call_control("thread.idle");
    // SAFETY: the control takes any number.
    let _: Result<(), Error> = unsafe { switch.write_any_control("epoch", 1_u64) };
    // SAFETY: the control does nothing that can be noticed.
    let _: Result<(), Error> = unsafe { switch.call_any_control("thread.idle") };
    fn value<T: ControlValue>() {}
    let _: [fn(); 7] = [
        value::<bool>,
        value::<u32>,
        value::<u64>,
        value::<i64>,
        value::<usize>,
        value::<isize>,
        value::<String>,
    ];
}

/// What is provided is the answer of an allocator that can do nothing.
#[test]
fn a_handle_of_ones_own() {
    let mine: &dyn Handle = &Mine;
    assert_eq!(mine.choice().to_string(), "system (global_allocator!(system))");
    assert_eq!(mine.self_check(), Ok(()));
    assert!(mine.stats().is_none() && mine.thread_stats().is_none() && mine.options().is_none());
    assert_eq!(mine.report(&mut String::new(), ReportForm::Text), Err(Error::Unsupported));
    assert_eq!(mine.purge(), Err(Error::Unsupported));
    assert_eq!(mine.background_threads(true), Err(Error::Unsupported));
    assert!(!mine.is_profiling());
    for answer in [mine.start_profile(), mine.stop_profile(), mine.reset_profile(None)] {
        assert_eq!(answer, Err(Error::Unsupported));
    }
    assert_eq!(mine.dump_profile(Path::new("x")), Err(Error::Unsupported));
    assert_eq!(mine.dump_profile_to(&mut Vec::new()), Err(Error::Unsupported));
    assert_eq!(Mine.read_control::<u32>("opt.narenas"), Err(Error::Unsupported));

    let layout = Layout::array::<u8>(25).unwrap();
    // SAFETY: the layout has a size, and the block is freed with it.
    unsafe {
        let block = Plain.alloc(layout);
        assert_eq!(Plain.usable_size(block, layout), 25);
        let resized: Option<NonNull<u8>> = Plain.reallocate_inplace(block, layout, 26);
        assert_eq!(resized, None);
        Plain.dealloc(block, layout);
    }
}
