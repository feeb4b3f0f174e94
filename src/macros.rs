//! The macros. They expand in the root crate of an artifact, because only there rustc and Cargo say what it is.

// A documentation test is a library artifact. Where such a one is refused, that is what the test shows.
#[cfg(all(
    alloc_switch_jemalloc,
    feature = "override-malloc",
    not(feature = "jemalloc-in-libraries")
))]
macro_rules! fence {
    () => {
        "```compile_fail"
    };
}
#[cfg(not(all(
    alloc_switch_jemalloc,
    feature = "override-malloc",
    not(feature = "jemalloc-in-libraries")
)))]
macro_rules! fence {
    () => {
        "```"
    };
}

/// Registers the right allocator for the artifact whose root calls it: jemalloc for an executable, the system allocator
/// for a library, unless a feature, a cfg or the argument says otherwise.
///
#[doc = fence!()]
/// alloc_switch::global_allocator!(pub static ALLOCATOR);
///
/// println!("{ALLOCATOR}");
/// # assert_eq!(ALLOCATOR.self_check(), Ok(()));
/// ```
///
/// | form | meaning |
/// |---|---|
/// | `global_allocator!()` | the policy decides |
/// | `global_allocator!(jemalloc)` | jemalloc, where nothing forbids it |
/// | `global_allocator!(system)` | the system allocator |
/// | `global_allocator!(pub static NAME)` | the same with a handle, a [`Switch`](crate::Switch); any visibility, and attributes |
/// | `global_allocator!(pub static NAME = jemalloc)` | both |
/// | `global_allocator!(custom: TYPE = EXPR)` | an allocator of your own |
/// | `global_allocator!(pub static NAME: TYPE = EXPR)` | the same with a name |
/// | `…, conf = "key:value,…")` | after any of these: jemalloc's options |
///
/// Without a name nothing enters the caller's namespace. In a procedural macro the static is not registered, because
/// rustc could not link a program that uses the macro; it has the system allocator anyway.
///
/// # A custom allocator
///
/// It is any type with [`InPlaceAlloc`](crate::InPlaceAlloc), which takes a `GlobalAlloc` and an `unsafe impl … {}`. It is
/// used as it stands: no veto applies, and no jemalloc is linked unless the type holds a [`switch!`](crate::switch!), to
/// which the whole rule applies. `examples/counting.rs` and `examples/bump.rs` are such allocators.
///
#[doc = fence!()]
/// use std::alloc::{GlobalAlloc, Layout, System};
///
/// struct NoMoreThan(usize);
///
/// // SAFETY: a null pointer is a refusal; the rest is the system allocator's.
/// unsafe impl GlobalAlloc for NoMoreThan {
///     unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
///         if layout.size() > self.0 { std::ptr::null_mut() } else { unsafe { System.alloc(layout) } }
///     }
///     unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
///         unsafe { System.dealloc(ptr, layout) }
///     }
/// }
///
/// // SAFETY: the provided functions make no promise.
/// unsafe impl alloc_switch::InPlaceAlloc for NoMoreThan {}
///
/// alloc_switch::global_allocator!(custom: NoMoreThan = NoMoreThan(1 << 20));
///
/// assert!(Vec::<u8>::new().try_reserve(2 << 20).is_err());
/// ```
///
/// # Options
///
/// `conf` takes a constant `&str`, or several in brackets that are joined, the last word counting. [`conf`](crate::conf)
/// has presets:
///
/// ```no_run
/// # fn main() {}
/// # #[cfg(any())] mod only_in_an_executable {
/// alloc_switch::global_allocator!(conf = [alloc_switch::conf::LOW_MEMORY, "dirty_decay_ms:1000,narenas:4"]);
/// # }
/// ```
///
/// It becomes the symbol that jemalloc reads at start-up (`_rjem_malloc_conf` or `malloc_conf`, whichever the jemalloc in
/// the graph reads), and the environment (`_RJEM_MALLOC_CONF` or `MALLOC_CONF`) still beats it. jemalloc reports an option
/// it does not know on standard error when the program starts. Where the system allocator is chosen, there is no symbol.
///
/// # Errors at compile time
///
/// * jemalloc in a library artifact without the feature `jemalloc-in-libraries`;
/// * a library artifact under the feature `override-malloc` without `jemalloc-in-libraries`;
/// * `conf` in an artifact that the policy leaves to the system allocator;
/// * an option string that is not `key:value(,key:value)*`, or an argument other than `jemalloc` and `system`;
/// * (from rustc) a second `#[global_allocator]` anywhere in the graph.
#[macro_export]
macro_rules! global_allocator {
    ($(#[$attribute:meta])* $vis:vis static $name:ident $(= $argument:ident)? $(,)?) => {
        $crate::__with_argument! {
            [$($argument)?]
            $crate::__check!($($argument)?);
            $crate::__stay_loaded!($($argument)?);
            $(#[$attribute])*
            #[cfg_attr(not(proc_macro), global_allocator)]
            $vis static $name: $crate::__switch!($($argument)?) = $crate::__switch!($($argument)?);
        }
    };
    ($(#[$attribute:meta])* $vis:vis static $name:ident $(= $argument:ident)?, conf = $($conf:tt)+) => {
        $crate::global_allocator!($(#[$attribute])* $vis static $name $(= $argument)?);
        $crate::__conf!([$($argument)?] $($conf)+);
    };
    ($(#[$attribute:meta])* $vis:vis static $name:ident: $type:ty = $value:expr $(,)?) => {
        // A System artifact, as far as the features can break one.
        $crate::__check!(system);
        $crate::__stay_loaded!();
        $(#[$attribute])*
        #[cfg_attr(not(proc_macro), global_allocator)]
        $vis static $name: $type = $crate::__private::custom::<$type>($value);
    };
    ($(#[$attribute:meta])* $vis:vis static $name:ident: $type:ty = $value:expr, conf = $($conf:tt)+) => {
        $crate::global_allocator!($(#[$attribute])* $vis static $name: $type = $value);
        $crate::__conf!([] $($conf)+);
    };
    (custom: $type:ty = $value:expr, conf = $($conf:tt)+) => {
        $crate::global_allocator!(custom: $type = $value);
        $crate::__conf!([] $($conf)+);
    };
    (custom: $type:ty = $value:expr $(,)?) => {
        const _: () = {
            $crate::global_allocator!(static ALLOCATOR: $type = $value);
        };
    };
    (conf = $($conf:tt)+) => {
        $crate::global_allocator!();
        $crate::__conf!([] $($conf)+);
    };
    ($argument:ident, conf = $($conf:tt)+) => {
        $crate::global_allocator!($argument);
        $crate::__conf!([$argument] $($conf)+);
    };
    ($($argument:ident)? $(,)?) => {
        const _: () = {
            $crate::global_allocator!(static ALLOCATOR $(= $argument)?);
        };
    };
    ($($other:tt)*) => {
        ::core::compile_error!(
            "alloc-switch: write `global_allocator!()`, optionally with `static NAME`, then `jemalloc` or `system`, then \
             `conf = \"key:value,…\"`, such as `global_allocator!(pub static ALLOCATOR = jemalloc, conf = \"narenas:4\")`; \
             or a custom allocator, `static NAME: TYPE = EXPR` or `custom: TYPE = EXPR`"
        );
    };
}

/// The decision for the artifact whose root calls it, as a constant [`Choice`](crate::Choice), without registering.
///
/// It takes the argument that [`global_allocator!`](crate::global_allocator!) takes: nothing, `jemalloc` or `system`. It
/// refuses nothing, and names no jemalloc symbol.
///
/// ```
/// const CHOICE: alloc_switch::Choice = alloc_switch::choice!();
/// println!("{CHOICE}");
/// ```
#[macro_export]
macro_rules! choice {
    ($($argument:ident)?) => {
        $crate::__private::choose($crate::__argument!($($argument)?), $crate::__artifact!())
    };
}

/// The type of the chosen allocator and, in an expression, its only value: for a wrapper that takes a `T: GlobalAlloc`.
///
/// It takes the argument that [`global_allocator!`](crate::global_allocator!) takes, and refuses what that refuses.
///
/// It registers nothing, so a library that has jemalloc this way (feature `jemalloc-in-libraries`) is not kept loaded after
/// `dlclose`, as it must be on Linux with glibc. Link it with `-z nodelete`: its build script prints
/// `cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete`.
///
#[doc = fence!()]
/// use std::alloc::{GlobalAlloc, Layout};
/// # struct Counted<A>(A);
/// # unsafe impl<A: GlobalAlloc> GlobalAlloc for Counted<A> {
/// #     unsafe fn alloc(&self, layout: Layout) -> *mut u8 { self.0.alloc(layout) }
/// #     unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) { self.0.dealloc(ptr, layout) }
/// # }
///
/// #[global_allocator]
/// static ALLOCATOR: Counted<alloc_switch::switch!(system)> = Counted(alloc_switch::switch!(system));
/// ```
#[macro_export]
macro_rules! switch {
    ($($argument:ident)?) => {
        $crate::Switch::<
            { $crate::__private::refuse($crate::__argument!($($argument)?), $crate::__artifact!()).is_jemalloc() },
            { $crate::choice!($($argument)?).reason() as u8 },
        >
    };
}

/// [`switch!`] for where [`__check!`] stands beside it and says once what is wrong.
#[doc(hidden)]
#[macro_export]
macro_rules! __switch {
    ($($argument:ident)?) => {
        $crate::Switch::<
            { $crate::choice!($($argument)?).is_jemalloc() },
            { $crate::choice!($($argument)?).reason() as u8 },
        >
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __check {
    ($($argument:ident)?) => {
        const _: $crate::Choice = {
            let () = $crate::__private::PAGE_SIZE; // deprecated, if there is something to say
            $crate::__private::refuse($crate::__argument!($($argument)?), $crate::__artifact!())
        };
    };
}

/// Says once, and before anything else, that an argument is none.
#[doc(hidden)]
#[macro_export]
macro_rules! __with_argument {
    ([] $($items:tt)*) => { $($items)* };
    ([jemalloc] $($items:tt)*) => { $($items)* };
    ([system] $($items:tt)*) => { $($items)* };
    ([$other:ident] $($items:tt)*) => { const _: () = { $crate::__argument!($other); }; };
}

// In `.init_array` the loader finds functions to call: here one, or none.
#[cfg(all(feature = "jemalloc-in-libraries", target_os = "linux", target_env = "gnu"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __stay_loaded {
    ($($argument:ident)?) => {
        const _: () = {
            const FUNCTIONS: ::core::primitive::usize =
                $crate::__private::stays_loaded($crate::choice!($($argument)?), $crate::__artifact!()) as _;
            #[used]
            #[link_section = ".init_array"]
            static INIT: [extern "C" fn(); FUNCTIONS] = [$crate::__private::stay_loaded; FUNCTIONS];
        };
    };
}

#[cfg(not(all(feature = "jemalloc-in-libraries", target_os = "linux", target_env = "gnu")))]
#[doc(hidden)]
#[macro_export]
macro_rules! __stay_loaded {
    ($($argument:ident)?) => {};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __argument {
    () => {
        ::core::option::Option::None
    };
    (jemalloc) => {
        ::core::option::Option::Some($crate::Allocator::Jemalloc)
    };
    (system) => {
        ::core::option::Option::Some($crate::Allocator::System)
    };
    ($other:ident) => {
        ::core::compile_error!(::core::concat!(
            "alloc-switch: `",
            ::core::stringify!($other),
            "` is not an allocator: write `jemalloc`, `system`, or nothing for the policy"
        ))
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __artifact {
    () => {
        $crate::Artifact::detect(
            ::core::option_env!("CARGO").is_some(),
            ::core::option_env!("CARGO_BIN_NAME").is_some(),
            ::core::option_env!("CARGO_TARGET_TMPDIR").is_some(),
            ::core::cfg!(test),
            ::core::cfg!(proc_macro),
        )
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conf {
    ([$($argument:ident)?] [$($part:expr),+ $(,)?] $(,)?) => {
        const _: () = {
            $crate::__private::refuse_conf($crate::__argument!($($argument)?), $crate::__artifact!());
            const PARTS: &[&::core::primitive::str] = &[$($part),+];
            const OPTIONS: [::core::primitive::u8; $crate::__private::joined_len(PARTS)] =
                $crate::__private::join(PARTS);
            $crate::__conf_symbol!([$($argument)?] OPTIONS);
        };
    };
    ([$($argument:ident)?] $part:expr $(,)?) => {
        $crate::__conf!([$($argument)?] [$part]);
    };
}

// The symbol that jemalloc reads. It holds a `const char *`, which a reference to an array of known size is too. It must
// stand in the crate with the allocator: the linker passes over one in another rlib without a word.

#[cfg(all(alloc_switch_jemalloc, alloc_switch_unprefixed))]
#[doc(hidden)]
#[macro_export]
macro_rules! __conf_symbol {
    ([system] $options:ident) => {
        const _: &[::core::primitive::u8] = &$options;
    };
    ([$($argument:ident)?] $options:ident) => {
        #[used]
        #[export_name = "malloc_conf"]
        static MALLOC_CONF: &[::core::primitive::u8; $options.len()] = &$options;
    };
}

#[cfg(all(alloc_switch_jemalloc, not(alloc_switch_unprefixed)))]
#[doc(hidden)]
#[macro_export]
macro_rules! __conf_symbol {
    ([system] $options:ident) => {
        const _: &[::core::primitive::u8] = &$options;
    };
    ([$($argument:ident)?] $options:ident) => {
        #[used]
        #[export_name = "_rjem_malloc_conf"]
        static MALLOC_CONF: &[::core::primitive::u8; $options.len()] = &$options;
    };
}

#[cfg(not(alloc_switch_jemalloc))]
#[doc(hidden)]
#[macro_export]
macro_rules! __conf_symbol {
    ([$($argument:ident)?] $options:ident) => {
        const _: &[::core::primitive::u8] = &$options;
    };
}
