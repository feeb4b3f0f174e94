//! What an allocator counts.

use crate::switch::{Backend, Select, Selector};
use crate::Switch;

/// What the allocator holds for the whole process, in bytes; see [`Switch::stats`].
///
/// A field is `None` where the allocator does not know it. The order is that of the fields: each is a part of the next,
/// as far as `mapped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Bytes in blocks that the program holds. jemalloc: `stats.allocated`. glibc: `uordblks + hblkhd`, which counts
    /// freed blocks in a thread's cache too. macOS: `size_in_use`.
    pub allocated: Option<usize>,
    /// Bytes in pages with at least one such block. jemalloc: `stats.active`.
    pub active: Option<usize>,
    /// Bytes in physical memory, unused and metadata included, an upper bound. jemalloc: `stats.resident`.
    pub resident: Option<usize>,
    /// Bytes of address space in use. jemalloc: `stats.mapped`. glibc: `arena + hblkhd`. macOS: `size_allocated`.
    pub mapped: Option<usize>,
    /// Bytes of address space kept for later, with no memory behind them. jemalloc: `stats.retained`.
    pub retained: Option<usize>,
}

/// How many bytes a thread has been given and has given back since it started; see [`Switch::thread_stats`].
///
/// `deallocated` can exceed `allocated` in a thread that frees what others allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadStats {
    /// Bytes allocated by this thread, usable sizes. jemalloc: `thread.allocatedp`.
    pub allocated: u64,
    /// Bytes freed by this thread, usable sizes. jemalloc: `thread.deallocatedp`.
    pub deallocated: u64,
}

impl<const JEMALLOC: bool, const REASON: u8> Switch<JEMALLOC, REASON>
where
    Selector<JEMALLOC>: Select,
{
    /// What the allocator holds for the whole process at this moment, in bytes.
    ///
    /// jemalloc answers if this crate's feature `stats` is on, else `None`. Each call refreshes the numbers (`epoch`),
    /// which takes every arena's locks: it is for once a second, not for once a request. On the system allocator glibc
    /// 2.33 and later (`mallinfo2`) and macOS (`malloc_zone_statistics`) know `allocated` and `mapped`; elsewhere, and in
    /// a program that links glibc statically, the answer is `None`.
    ///
    #[doc = fence!()]
    /// alloc_switch::global_allocator!(pub static ALLOCATOR);
    ///
    /// let block = vec![1_u8; 10 << 20];
    /// if let Some(allocated) = ALLOCATOR.stats().and_then(|stats| stats.allocated) {
    ///     assert!(allocated >= block.len());
    /// }
    /// ```
    #[inline]
    pub fn stats(&self) -> Option<Stats> {
        <Selector<JEMALLOC> as Select>::Backend::stats()
    }

    /// How many bytes the calling thread has been given and has given back, from its start.
    ///
    /// On jemalloc it costs a pointer read (on Apple, where jemalloc may move the counters, two calls of `mallctl`), and
    /// needs no feature. `None` on the system allocator. The difference of two answers is what the code in between has
    /// allocated:
    ///
    #[doc = fence!()]
    /// # alloc_switch::global_allocator!(pub static ALLOCATOR);
    /// let before = ALLOCATOR.thread_stats();
    /// let block = vec![1_u8; 1000];
    /// if let (Some(before), Some(after)) = (before, ALLOCATOR.thread_stats()) {
    ///     assert!(after.allocated - before.allocated >= block.len() as u64);
    /// }
    /// ```
    #[inline]
    pub fn thread_stats(&self) -> Option<ThreadStats> {
        <Selector<JEMALLOC> as Select>::Backend::thread_stats()
    }
}
