//! What was chosen: for people, `Choice`, and as a type, `Chosen`, implemented once for each
//! allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::any::type_name;
use std::fmt;

use crate::check::{FACTS, VERSION};
use crate::rule::{decide, Allocator, Caller, Reason};

/// Which allocator an artifact got, and why.
///
/// [`choice!`](crate::choice!) and [`Chosen::choice`] give it. `Display` makes a line fit for
/// `--version`:
///
/// ```
/// # use alloc_switch::Choice;
/// const ALLOCATOR: Choice = alloc_switch::choice!(system);
/// assert_eq!(ALLOCATOR.to_string(), "system (global_allocator!(system))");
/// ```
///
/// An executable prints `jemalloc 5.3.1 (executable artifact)`, a library
/// `system (library artifact)`, and an executable with a fallback, where jemalloc is not to be had,
/// `mimalloc::MiMalloc (target not on the jemalloc list)`.
#[derive(Clone, Copy)]
pub struct Choice {
    allocator: Allocator,
    reason: Reason,
    /// The name of the author's type. A function, because it is not const yet.
    type_name: fn() -> &'static str,
}

impl Choice {
    /// The allocator.
    pub const fn allocator(self) -> Allocator {
        self.allocator
    }

    /// Why it is this one.
    pub const fn reason(self) -> Reason {
        self.reason
    }

    /// Whether the allocator is jemalloc.
    pub const fn is_jemalloc(self) -> bool {
        matches!(self.allocator, Allocator::Jemalloc)
    }

    /// The version of jemalloc that was compiled, such as `5.3.1`. `None` for another allocator,
    /// and for a jemalloc that was built elsewhere and named with `JEMALLOC_OVERRIDE`.
    pub const fn version(self) -> Option<&'static str> {
        match self.allocator {
            Allocator::Jemalloc => VERSION,
            _ => None,
        }
    }

    /// The allocator's name: `jemalloc`, `system`, or the type of the fallback or of the custom
    /// allocator as rustc writes it, such as `mimalloc::MiMalloc`.
    pub fn name(self) -> &'static str {
        match self.allocator {
            Allocator::Jemalloc => "jemalloc",
            Allocator::System => "system",
            Allocator::Fallback | Allocator::Custom => (self.type_name)(),
        }
    }
}

/// Asks the rule with the facts of this build. `T` is the author's type.
pub const fn choose<T>(caller: Caller) -> Choice {
    let (allocator, reason) = decide(caller, &FACTS);
    Choice { allocator, reason, type_name: type_name::<T> }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        if let Some(version) = self.version() {
            write!(f, " {version}")?;
        }
        write!(f, " ({})", self.reason.as_str())
    }
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Choice").field("name", &self.name()).field("reason", &self.reason).finish()
    }
}

impl PartialEq for Choice {
    fn eq(&self, other: &Self) -> bool {
        (self.allocator, self.reason, self.name()) == (other.allocator, other.reason, other.name())
    }
}

impl Eq for Choice {}

/// The allocator that was chosen for an artifact.
///
/// [`global_allocator!`](crate::global_allocator!) makes the static, and
/// [`switch!`](crate::switch!) is its type, for a wrapper that wants a `T: GlobalAlloc`. The
/// parameter is the decision, which only these macros make. A `Chosen` has the size of the
/// allocator that the author names, so in general none, and each of its functions is
/// `tikv_jemallocator::Jemalloc`'s, `std::alloc::System`'s or the author's.
#[derive(Clone, Copy)]
pub struct Chosen<D>(pub(crate) D);

/// A decision as a type. `T` is the type of the author's allocator, or `()`.
#[derive(Clone, Copy)]
pub struct Answer<const A: u8, const R: u8, T = ()>(pub(crate) T);

#[cfg(alloc_switch_jemalloc)]
pub(crate) const JEMALLOC: u8 = Allocator::Jemalloc as u8;
pub(crate) const SYSTEM: u8 = Allocator::System as u8;
pub(crate) const FALLBACK: u8 = Allocator::Fallback as u8;
pub(crate) const CUSTOM: u8 = Allocator::Custom as u8;

/// The number of a decision, to be decoded.
pub struct Code<const CODE: u8>;

/// From the number of a decision to its type, so that one constant is enough to name it.
pub trait Decode {
    /// With the author's type
    type Answer<T>;
}

pub(crate) const fn code(allocator: Allocator, reason: Reason) -> u8 {
    allocator as u8 * 32 + reason as u8
}

/// Every answer that the rule can give.
macro_rules! answers {
    ($($allocator:ident: $($reason:ident)+;)+) => {$($(
        impl Decode for Code<{ code(Allocator::$allocator, Reason::$reason) }> {
            type Answer<T> = Answer<{ Allocator::$allocator as u8 }, { Reason::$reason as u8 }, T>;
        }
    )+)+};
}
answers! {
    Jemalloc: MacroJemalloc Executable CfgJemalloc;
    System: MacroSystem CfgSystem FeatureOff Miri Kani Fuzzing Sanitizer PreferDynamic
        UnlistedTarget ProcMacro Library NotBuiltByCargo;
    Fallback: UnlistedTarget;
    Custom: MacroCustom;
}

impl<const A: u8, const R: u8, T> Chosen<Answer<A, R, T>> {
    pub(crate) const CHOICE: Choice = Choice {
        allocator: Allocator::ALL[A as usize],
        reason: Reason::ALL[R as usize],
        type_name: type_name::<T>,
    };

    /// The decision and its reason. Costs nothing: it is part of the type.
    #[inline]
    pub const fn choice(&self) -> Choice {
        Self::CHOICE
    }

    /// The value of a decision with an allocator of the author's: of a type `switch!(fallback: T)`.
    /// The fallback is kept, and not used, where another allocator was chosen.
    pub const fn with_fallback(fallback: T) -> Self
    where
        T: GlobalAlloc + Sync,
    {
        Chosen(Answer(fallback))
    }
}

impl<const A: u8, const R: u8> Chosen<Answer<A, R>> {
    /// The only value of a decision without a fallback: of a type `switch!()`.
    pub const fn new() -> Self {
        Chosen(Answer(()))
    }
}

impl<const A: u8, const R: u8> Default for Chosen<Answer<A, R>> {
    fn default() -> Self {
        Self::new()
    }
}

/// Prints the [`Choice`].
impl<const A: u8, const R: u8, T> fmt::Display for Chosen<Answer<A, R, T>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Self::CHOICE.fmt(f)
    }
}

impl<const A: u8, const R: u8, T> fmt::Debug for Chosen<Answer<A, R, T>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Chosen").field(&Self::CHOICE).finish()
    }
}

/// Implements `GlobalAlloc` by handing each call on. Every implementation is generic over the
/// reason, so none is compiled into this crate's own object file: an artifact on the system
/// allocator has not one reference to jemalloc, optimised or not.
macro_rules! allocate_from {
    ($code:ident, $($bound:ident)?, $this:ident => $allocator:expr) => {
        // SAFETY: every function is one function of one allocator, which keeps what `GlobalAlloc`
        // promises.
        unsafe impl<const R: u8, T $(: $bound)?> GlobalAlloc for Chosen<Answer<$code, R, T>>
        {
            #[inline]
            unsafe fn alloc(&$this, layout: Layout) -> *mut u8 {
                // SAFETY: the layout has a size, as the caller promises.
                unsafe { $allocator.alloc(layout) }
            }

            #[inline]
            unsafe fn alloc_zeroed(&$this, layout: Layout) -> *mut u8 {
                // SAFETY: the layout has a size, as the caller promises.
                unsafe { $allocator.alloc_zeroed(layout) }
            }

            #[inline]
            unsafe fn dealloc(&$this, ptr: *mut u8, layout: Layout) {
                // SAFETY: the block is this allocator's, with this layout, as the caller promises.
                unsafe { $allocator.dealloc(ptr, layout) }
            }

            #[inline]
            unsafe fn realloc(&$this, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
                // SAFETY: the block is this allocator's, with this layout, and the new size is one
                // that a layout may have, as the caller promises.
                unsafe { $allocator.realloc(ptr, layout, new_size) }
            }
        }
    };
}

// References, because `System` passes its own address on: to copy it to the stack costs an
// instruction.
#[cfg(alloc_switch_jemalloc)]
allocate_from!(JEMALLOC, , self => (&tikv_jemallocator::Jemalloc));
allocate_from!(SYSTEM, , self => (&System));
allocate_from!(FALLBACK, GlobalAlloc, self => self.0 .0);
allocate_from!(CUSTOM, GlobalAlloc, self => self.0 .0);
