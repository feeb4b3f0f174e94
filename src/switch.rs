//! From a decision to a type: `Switch`, implemented once for each allocator.

use std::alloc::{GlobalAlloc, Layout};
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::mem::{size_of, zeroed};
use std::path::Path;
use std::ptr::NonNull;

use crate::choice::Choice;
use crate::handle::{
    ControlValue, Error, Handle, Options, ReportForm, SelfCheckError, Stats, ThreadStats,
};
use crate::in_place::InPlaceAlloc;
#[cfg(alloc_switch_jemalloc)]
use crate::jemalloc;
use crate::rule::{Allocator, Reason};
use crate::self_check;
use crate::system;

/// The allocator that was chosen for an artifact.
///
/// [`global_allocator!`](crate::global_allocator!) makes the static, and
/// [`switch!`](crate::switch!) is its type and its value for a wrapper that wants a
/// `T: GlobalAlloc`. The parameter is the decision, which only these macros make. A `Switch` has
/// the size of the fallback that the macro names, so in general none, and each of its functions is
/// `tikv_jemallocator::Jemalloc`'s, `std::alloc::System`'s or the fallback's.
///
/// It has every function of [`Handle`] as a method. Code that is generic over the decision says
/// `where Switch<D>: Handle`.
#[derive(Clone, Copy)]
pub struct Switch<D>(D);

/// A decision as a type. `F` is the type of the fallback, or `()`.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Decided<const ALLOCATOR: u8, const REASON: u8, F = ()>(F);

#[cfg(alloc_switch_jemalloc)]
const JEMALLOC: u8 = Allocator::Jemalloc as u8;
const SYSTEM: u8 = Allocator::System as u8;
const FALLBACK: u8 = Allocator::Fallback as u8;

impl<const ALLOCATOR: u8, const REASON: u8, F> Switch<Decided<ALLOCATOR, REASON, F>> {
    const CHOICE: Choice = {
        let reason = Reason::ALL[REASON as usize];
        let choice = match ALLOCATOR {
            FALLBACK => {
                assert!(matches!(reason, Reason::UnlistedTarget), "no reason for a fallback");
                Choice::fallback::<F>(reason)
            }
            _ => Choice::new(reason),
        };
        assert!(choice.allocator() as u8 == ALLOCATOR, "the allocator is not the reason's");
        choice
    };

    /// The decision and its reason. Costs nothing: it is part of the type.
    #[inline]
    pub const fn choice(&self) -> Choice {
        Self::CHOICE
    }
}

/// The value for a static whose type is the decision.
#[doc(hidden)]
pub const fn seat<const ALLOCATOR: u8, const REASON: u8, F>(
    fallback: F,
) -> Switch<Decided<ALLOCATOR, REASON, F>> {
    let _ = Switch::<Decided<ALLOCATOR, REASON, F>>::CHOICE; // a contradiction does not compile
    Switch(Decided(fallback))
}

/// The decision for a place that takes a type or a value: `<Seat<…> as Seated>::Switch` is both.
/// The fallback is the parameter of a function, because `#[cfg(…)]` may stand in front of one.
#[doc(hidden)]
pub struct Seat<const ALLOCATOR: u8, const REASON: u8, F, const WITNESS: u64>(PhantomData<F>);

#[doc(hidden)]
#[allow(non_upper_case_globals)]
pub trait Seated {
    type Switch;
    const Switch: Self::Switch;
}

impl<const ALLOCATOR: u8, const REASON: u8> Seated for Seat<ALLOCATOR, REASON, (), 0> {
    type Switch = Switch<Decided<ALLOCATOR, REASON>>;
    #[allow(non_upper_case_globals)]
    const Switch: Self::Switch = seat(());
}

/// The `cfg` in front of the fallback does not hold.
impl<const ALLOCATOR: u8, const REASON: u8> Seated for Seat<ALLOCATOR, REASON, fn(), 0> {
    type Switch = Switch<Decided<ALLOCATOR, REASON>>;
    #[allow(non_upper_case_globals)]
    const Switch: Self::Switch = seat(());
}

impl<const ALLOCATOR: u8, const REASON: u8, F> Seated for Seat<ALLOCATOR, REASON, fn(F), WITNESS> {
    type Switch = Switch<Decided<ALLOCATOR, REASON, F>>;
    #[allow(non_upper_case_globals)]
    const Switch: Self::Switch = {
        assert!(size_of::<F>() == 0, "`witness` has seen to that");
        // SAFETY: only `witness` hands out this parameter, to a caller that has a constant
        // expression for such a value. One without size has no bits, so each evaluation of that
        // expression, of which safe code may have as many as it likes, gives this value again.
        seat(unsafe { zeroed::<F>() })
    };
}

/// Vouches that there is a constant expression for a fallback without size. Safe code that names
/// `__private` and writes this number has broken in on purpose.
const WITNESS: u64 = 0x616c_6c6f_632d_7377;

/// Takes the value of a fallback for `switch!`.
///
/// # Safety
///
/// `fallback` is the value of a constant expression, and the answer stands beside no other `F` in a
/// [`Seat`].
#[doc(hidden)]
pub const unsafe fn witness<F: GlobalAlloc + Sync>(fallback: F) -> u64 {
    if size_of::<F>() != 0 {
        panic!(
            "alloc-switch: a fallback in `switch!` must have no size, such as \
             `mimalloc::MiMalloc`: register one that has with \
             `global_allocator!(static NAME, fallback: TYPE = EXPR)`"
        );
    }
    std::mem::forget(fallback);
    WITNESS
}

/// Prints the [`Choice`].
impl<const ALLOCATOR: u8, const REASON: u8, F> fmt::Display
    for Switch<Decided<ALLOCATOR, REASON, F>>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Self::CHOICE.fmt(f)
    }
}

impl<const ALLOCATOR: u8, const REASON: u8, F> fmt::Debug
    for Switch<Decided<ALLOCATOR, REASON, F>>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Switch").field(&Self::CHOICE).finish()
    }
}

/// The only value of a decision without a fallback.
impl<const ALLOCATOR: u8, const REASON: u8> Default for Switch<Decided<ALLOCATOR, REASON>> {
    fn default() -> Self {
        seat(())
    }
}

/// Implements `GlobalAlloc` by handing each call on. Every implementation is generic over the
/// reason, so none is compiled into this crate's own object file: an artifact on the system
/// allocator has not one reference to jemalloc, optimised or not.
macro_rules! allocate_from {
    ($decision:ident, $($bound:ident)?, |$switch:ident| $allocator:expr) => {
        // SAFETY: every function is the chosen allocator's own, called with the caller's arguments.
        unsafe impl<const REASON: u8, F $(: $bound)?> GlobalAlloc
            for Switch<Decided<$decision, REASON, F>>
        {
            #[inline]
            unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
                let $switch = self;
                // SAFETY: the caller's promise is the callee's.
                unsafe { $allocator.alloc(layout) }
            }

            #[inline]
            unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
                let $switch = self;
                // SAFETY: the caller's promise is the callee's.
                unsafe { $allocator.alloc_zeroed(layout) }
            }

            #[inline]
            unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
                let $switch = self;
                // SAFETY: the caller's promise is the callee's.
                unsafe { $allocator.dealloc(ptr, layout) }
            }

            #[inline]
            unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
                let $switch = self;
                // SAFETY: the caller's promise is the callee's.
                unsafe { $allocator.realloc(ptr, layout, new_size) }
            }
        }
    };
}

// References, because `System` passes its own address on: to copy it to the stack costs an
// instruction.
#[cfg(alloc_switch_jemalloc)]
allocate_from!(JEMALLOC, , |_switch| (&tikv_jemallocator::Jemalloc));
allocate_from!(SYSTEM, , |_switch| (&std::alloc::System));
allocate_from!(FALLBACK, GlobalAlloc, |switch| switch.0 .0);

/// Implements `InPlaceAlloc` with the functions of the allocator's module.
macro_rules! resize_with {
    ($decision:ident, $module:ident) => {
        // SAFETY: the module keeps these promises for blocks of its allocator's.
        unsafe impl<const REASON: u8, F> InPlaceAlloc for Switch<Decided<$decision, REASON, F>> {
            #[inline]
            unsafe fn usable_size(&self, ptr: *mut u8, layout: Layout) -> usize {
                // SAFETY: the caller's promise.
                unsafe { $module::usable_size(ptr, layout) }
            }

            #[inline]
            unsafe fn reallocate_inplace(
                &self,
                ptr: *mut u8,
                layout: Layout,
                new_size: usize,
            ) -> Option<NonNull<u8>> {
                // SAFETY: the caller's promise.
                unsafe { $module::reallocate_inplace(ptr, layout, new_size) }
            }
        }
    };
}

#[cfg(alloc_switch_jemalloc)]
resize_with!(JEMALLOC, jemalloc);
resize_with!(SYSTEM, system);

// SAFETY: the provided functions promise nothing.
unsafe impl<const REASON: u8, F: GlobalAlloc> InPlaceAlloc
    for Switch<Decided<FALLBACK, REASON, F>>
{
}

/// Implements `Handle` with what jemalloc can do. Where `malloc` is jemalloc's, that is what the
/// system allocator can do too.
#[cfg(alloc_switch_jemalloc)]
macro_rules! handle_of_jemalloc {
    ($decision:ident) => {
        impl<const REASON: u8, F: Sync> Handle for Switch<Decided<$decision, REASON, F>> {
            #[inline]
            fn choice(&self) -> Choice {
                Self::CHOICE
            }

            #[inline]
            fn self_check(&self) -> Result<(), SelfCheckError> {
                self_check::with_jemalloc(Self::CHOICE)
            }

            #[inline]
            fn stats(&self) -> Option<Stats> {
                jemalloc::stats()
            }

            #[inline]
            fn thread_stats(&self) -> Option<ThreadStats> {
                jemalloc::thread_stats()
            }

            #[inline]
            fn options(&self) -> Option<Options> {
                jemalloc::options()
            }

            #[inline]
            fn report(&self, out: &mut dyn fmt::Write, form: ReportForm) -> Result<(), Error> {
                jemalloc::report(out, form)
            }

            #[inline]
            fn purge(&self) -> Result<(), Error> {
                jemalloc::purge()
            }

            #[inline]
            fn background_threads(&self, on: bool) -> Result<(), Error> {
                jemalloc::background_threads(on)
            }

            #[inline]
            fn is_profiling(&self) -> bool {
                jemalloc::is_profiling()
            }

            #[inline]
            fn start_profile(&self) -> Result<(), Error> {
                jemalloc::sample(true)
            }

            #[inline]
            fn stop_profile(&self) -> Result<(), Error> {
                jemalloc::sample(false)
            }

            #[inline]
            fn reset_profile(&self, lg_sample: Option<u32>) -> Result<(), Error> {
                jemalloc::reset_profile(lg_sample)
            }

            #[inline]
            fn dump_profile(&self, path: &Path) -> Result<(), Error> {
                jemalloc::dump_profile(path)
            }

            #[inline]
            fn dump_profile_to(&self, out: &mut dyn io::Write) -> Result<(), Error> {
                jemalloc::dump_profile_to(out)
            }

            #[inline]
            fn read_control<T: ControlValue>(&self, name: &str) -> Result<T, Error> {
                jemalloc::read_control(name)
            }

            #[inline]
            fn write_control<T: ControlValue>(&self, name: &str, value: T) -> Result<(), Error> {
                jemalloc::write_control(name, value)
            }

            #[inline]
            fn call_control(&self, name: &str) -> Result<(), Error> {
                jemalloc::call_control(name)
            }

            #[inline]
            unsafe fn write_any_control<T: ControlValue>(
                &self,
                name: &str,
                value: T,
            ) -> Result<(), Error> {
                // SAFETY: the caller's promise.
                unsafe { jemalloc::write_any_control(name, value) }
            }

            #[inline]
            unsafe fn call_any_control(&self, name: &str) -> Result<(), Error> {
                // SAFETY: the caller's promise.
                unsafe { jemalloc::call_any_control(name) }
            }
        }
    };
}

#[cfg(alloc_switch_jemalloc)]
handle_of_jemalloc!(JEMALLOC);
#[cfg(alloc_switch_malloc)]
handle_of_jemalloc!(SYSTEM);

#[cfg(not(alloc_switch_malloc))]
impl<const REASON: u8, F: Sync> Handle for Switch<Decided<SYSTEM, REASON, F>> {
    #[inline]
    fn choice(&self) -> Choice {
        Self::CHOICE
    }

    #[inline]
    fn self_check(&self) -> Result<(), SelfCheckError> {
        self_check::with_system(Self::CHOICE)
    }

    #[inline]
    fn stats(&self) -> Option<Stats> {
        system::stats()
    }

    #[inline]
    fn report(&self, out: &mut dyn fmt::Write, form: ReportForm) -> Result<(), Error> {
        system::report(out, form)
    }

    #[inline]
    fn purge(&self) -> Result<(), Error> {
        system::purge()
    }
}

impl<const REASON: u8, F: Sync> Handle for Switch<Decided<FALLBACK, REASON, F>> {
    #[inline]
    fn choice(&self) -> Choice {
        Self::CHOICE
    }

    #[inline]
    fn self_check(&self) -> Result<(), SelfCheckError> {
        self_check::with_fallback(Self::CHOICE)
    }
}

/// The functions of `Handle` as methods, so that nobody has to import the trait.
macro_rules! methods {
    ($(fn $name:ident $(<$T:ident>)? ($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl<D> Switch<D>
        where
            Self: Handle,
        {
            $(
                #[doc = concat!("See [`Handle::", stringify!($name), "`].")]
                #[inline]
                #[allow(clippy::missing_errors_doc)]
                pub fn $name $(<$T: ControlValue>)? (&self, $($argument: $type),*) -> $answer {
                    Handle::$name(self, $($argument),*)
                }
            )*
        }
    };
}

methods! {
    fn self_check() -> Result<(), SelfCheckError>;
    fn stats() -> Option<Stats>;
    fn thread_stats() -> Option<ThreadStats>;
    fn options() -> Option<Options>;
    fn report(out: &mut dyn fmt::Write, form: ReportForm) -> Result<(), Error>;
    fn purge() -> Result<(), Error>;
    fn background_threads(on: bool) -> Result<(), Error>;
    fn is_profiling() -> bool;
    fn start_profile() -> Result<(), Error>;
    fn stop_profile() -> Result<(), Error>;
    fn reset_profile(lg_sample: Option<u32>) -> Result<(), Error>;
    fn dump_profile_to(out: &mut dyn io::Write) -> Result<(), Error>;
    fn read_control<T>(name: &str) -> Result<T, Error>;
    fn write_control<T>(name: &str, value: T) -> Result<(), Error>;
    fn call_control(name: &str) -> Result<(), Error>;
}

impl<D> Switch<D>
where
    Self: Handle,
{
    /// See [`Handle::dump_profile`].
    #[inline]
    pub fn dump_profile(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        Handle::dump_profile(self, path.as_ref())
    }

    /// See [`Handle::write_any_control`].
    ///
    /// # Safety
    ///
    /// The trait's.
    #[inline]
    pub unsafe fn write_any_control<T: ControlValue>(
        &self,
        name: &str,
        value: T,
    ) -> Result<(), Error> {
        // SAFETY: the caller's promise.
        unsafe { Handle::write_any_control(self, name, value) }
    }

    /// See [`Handle::call_any_control`].
    ///
    /// # Safety
    ///
    /// The trait's.
    #[inline]
    pub unsafe fn call_any_control(&self, name: &str) -> Result<(), Error> {
        // SAFETY: the caller's promise.
        unsafe { Handle::call_any_control(self, name) }
    }
}
