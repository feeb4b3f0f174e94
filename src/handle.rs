//! The handle for code that does not own it.

use crate::switch::{Select, Selector};
use crate::{Choice, Error, Stats, Switch, ThreadStats};

/// A handle without its type: what a metrics or administration crate in the middle of a graph takes as
/// `&'static dyn Handle`.
///
/// ```
/// # const ALLOCATOR: alloc_switch::Switch<false, 0> = alloc_switch::Switch;
/// // in a library
/// fn report(allocator: &'static dyn alloc_switch::Handle) -> String {
///     match allocator.stats().and_then(|stats| stats.allocated) {
///         Some(bytes) => format!("{}: {bytes} bytes", allocator.choice()),
///         None => allocator.choice().to_string(),
///     }
/// }
///
/// // in the program that owns the static
/// println!("{}", report(&ALLOCATOR));
/// ```
///
/// A custom allocator may implement it too; the provided functions say that it cannot.
pub trait Handle: Send + Sync {
    /// See [`Switch::choice`].
    fn choice(&self) -> Choice;

    /// See [`Switch::stats`].
    fn stats(&self) -> Option<Stats> {
        None
    }

    /// See [`Switch::thread_stats`].
    fn thread_stats(&self) -> Option<ThreadStats> {
        None
    }

    /// See [`Switch::purge`].
    fn purge(&self) -> Result<(), Error> {
        Err(Error::System)
    }
}

impl<const JEMALLOC: bool, const REASON: u8> Handle for Switch<JEMALLOC, REASON>
where
    Selector<JEMALLOC>: Select,
{
    #[inline]
    fn choice(&self) -> Choice {
        Switch::choice(self)
    }

    #[inline]
    fn stats(&self) -> Option<Stats> {
        Switch::stats(self)
    }

    #[inline]
    fn thread_stats(&self) -> Option<ThreadStats> {
        Switch::thread_stats(self)
    }

    #[inline]
    fn purge(&self) -> Result<(), Error> {
        Switch::purge(self)
    }
}
