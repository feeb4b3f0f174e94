//! What a running program asks of its allocator.

use std::path::Path;

use crate::switch::{Backend, Select, Selector};
use crate::{Error, Switch};

impl<const JEMALLOC: bool, const REASON: u8> Switch<JEMALLOC, REASON>
where
    Selector<JEMALLOC>: Select,
{
    /// Gives the memory that the allocator holds and the program does not back to the operating system, at once.
    ///
    /// jemalloc flushes the calling thread's cache (`thread.tcache.flush`) and purges every arena
    /// (`arena.<MALLCTL_ARENAS_ALL>.purge`); what other threads have cached stays. glibc: `malloc_trim`. macOS:
    /// `malloc_zone_pressure_relief`. It takes locks and costs page faults later: call it after a peak, not in a loop.
    ///
    /// ```
    /// # const ALLOCATOR: alloc_switch::Switch<false, 0> = alloc_switch::Switch;
    /// drop(vec![1_u8; 10 << 20]);
    /// if let Err(error) = ALLOCATOR.purge() {
    ///     eprintln!("memory stays where it is: {error}");
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::System`] on a system allocator that is neither glibc's nor macOS's.
    #[inline]
    pub fn purge(&self) -> Result<(), Error> {
        <Selector<JEMALLOC> as Select>::Backend::purge()
    }

    /// Starts or stops jemalloc's background threads, which return unused memory while the program is idle. Without them
    /// that is done by whichever thread allocates or frees next. jemalloc: `background_thread`.
    ///
    /// # Fork
    ///
    /// Threads do not survive `fork`. In the child jemalloc sets the option to off and does the work in the child's own
    /// threads; nothing hangs and nothing is lost. A child that wants the threads back calls this again; one that goes on
    /// to `exec` need not.
    ///
    /// ```
    /// # const ALLOCATOR: alloc_switch::Switch<false, 0> = alloc_switch::Switch;
    /// if let Err(error) = ALLOCATOR.background_threads(true) {
    ///     eprintln!("no background threads: {error}");
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::System`] on the system allocator; [`Error::Target`] on Apple, where jemalloc has no such threads, and on
    /// musl, where they are known not to work; [`Error::Jemalloc`] if a thread cannot be made.
    #[inline]
    pub fn background_threads(&self, on: bool) -> Result<(), Error> {
        <Selector<JEMALLOC> as Select>::Backend::background_threads(on)
    }

    /// Starts to sample allocations for a heap profile. jemalloc: `prof.active`.
    ///
    /// This takes the feature `profiling` and a program that starts with `prof:true`, such as the options
    /// [`conf::PROFILING`](crate::conf::PROFILING). Those sample from the start; add `prof_active:false` to leave it to
    /// this call.
    ///
    /// ```
    /// # const ALLOCATOR: alloc_switch::Switch<false, 0> = alloc_switch::Switch;
    /// if let Err(error) = ALLOCATOR.start_profile() {
    ///     eprintln!("no heap profile: {error}");
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::System`] on the system allocator, [`Error::Feature`] without the feature, [`Error::Option`] without the
    /// option.
    #[inline]
    pub fn start_profile(&self) -> Result<(), Error> {
        <Selector<JEMALLOC> as Select>::Backend::sample(true)
    }

    /// Stops sampling. What has been sampled and not yet freed stays in the profile. jemalloc: `prof.active`.
    ///
    /// ```
    /// # const ALLOCATOR: alloc_switch::Switch<false, 0> = alloc_switch::Switch;
    /// if let Err(error) = ALLOCATOR.stop_profile() {
    ///     eprintln!("no heap profile: {error}");
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`start_profile`](Self::start_profile).
    #[inline]
    pub fn stop_profile(&self) -> Result<(), Error> {
        <Selector<JEMALLOC> as Select>::Backend::sample(false)
    }

    /// Writes the heap profile to a file, which is replaced: the sampled blocks that are still held, with the stacks that
    /// allocated them. jemalloc: `prof.dump`.
    ///
    /// ```
    /// # const ALLOCATOR: alloc_switch::Switch<false, 0> = alloc_switch::Switch;
    /// if let Err(error) = ALLOCATOR.dump_profile("target/program.heap") {
    ///     eprintln!("no heap profile: {error}");
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`start_profile`](Self::start_profile); [`Error::Path`] if the path is no C string of less than 4 KiB;
    /// [`Error::Jemalloc`] if the file cannot be written.
    #[inline]
    pub fn dump_profile(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        <Selector<JEMALLOC> as Select>::Backend::dump(path.as_ref())
    }
}
