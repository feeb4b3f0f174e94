//! Asks the running process whether the choice holds.

use core::fmt;
use std::alloc::{alloc, dealloc, Layout};
use std::string::String;

use crate::switch::{Backend, Select, Selector};
use crate::{Choice, Switch};

/// What [`Switch::self_check`] found wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SelfCheckError {
    /// Memory that this artifact allocates does not come from the allocator that was chosen for it: another allocator is
    /// registered, or the feature `override-malloc` has put jemalloc behind the system allocator's `malloc`.
    Artifact(Choice),
    /// Memory that the standard library allocates in its own compiled code comes from another allocator, because it is
    /// shared (`-C prefer-dynamic`, or a dependency of crate type dylib). The program will abort when one side frees the
    /// other's memory.
    Std(Choice),
}

impl fmt::Display for SelfCheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SelfCheckError::Artifact(choice) => write!(
                f,
                "the chosen allocator is {choice}, but memory allocated here does not belong to it: another allocator \
                 is registered, or override-malloc put jemalloc behind malloc"
            ),
            SelfCheckError::Std(choice) => write!(
                f,
                "the chosen allocator is {choice}, but memory allocated inside the standard library does not belong to \
                 it: std is shared, through -C prefer-dynamic or a dylib dependency, and freeing across will abort; \
                 link std statically, choose the system allocator, or turn on override-malloc"
            ),
        }
    }
}

impl std::error::Error for SelfCheckError {}

impl<const JEMALLOC: bool, const REASON: u8> Switch<JEMALLOC, REASON>
where
    Selector<JEMALLOC>: Select,
{
    /// Asks the running process, not the constants, whether the choice holds: does memory that this artifact has just
    /// allocated, and memory that the standard library has just allocated in its own compiled code, belong to the chosen
    /// allocator?
    ///
    /// On jemalloc it asks `arenas.lookup`. On the system allocator it asks libc (`malloc_usable_size`, on Apple
    /// `malloc_size`) where there is such a function, and jemalloc only where `override-malloc` has linked it as `malloc`;
    /// a System artifact that calls this carries no jemalloc.
    ///
    /// It allocates twice, so call it in `main` or in a test, not in an allocator.
    ///
    /// # Errors
    ///
    /// [`SelfCheckError`] says which of the two does not hold, and what to do. In the second case a few bytes leak.
    pub fn self_check(&self) -> Result<(), SelfCheckError> {
        let layout = Layout::new::<[usize; 8]>();
        // SAFETY: the layout has a size.
        let ours = unsafe { alloc(layout) };
        if ours.is_null() {
            std::alloc::handle_alloc_error(layout);
        }
        let artifact = <Selector<JEMALLOC> as Select>::Backend::owns(ours);
        // SAFETY: allocated above with this layout.
        unsafe { dealloc(ours, layout) };
        if !artifact {
            return Err(SelfCheckError::Artifact(self.choice()));
        }

        // `fmt::format` is neither generic nor inlined: it allocates in liballoc's object code, wherever that is linked.
        let theirs: String = std::fmt::format(format_args!("{:p} {}", self, self.choice()));
        if !<Selector<JEMALLOC> as Select>::Backend::owns(theirs.as_ptr()) {
            core::mem::forget(theirs); // to free it is what aborts
            return Err(SelfCheckError::Std(self.choice()));
        }
        Ok(())
    }
}
