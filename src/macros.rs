//! The macros. They expand in the root crate of an artifact, because only there rustc and Cargo say
//! what it is.
//!
//! `global_allocator!(static A)` is `#[global_allocator] static A: switch!() = …`, and its options.
//! Every form becomes that one: an unnamed form is a named one in a scope of its own, and options
//! are a tail that begins with a comma, read in one place.
//!
//! Items that a caller's expressions could see have names that nobody writes.

/// Registers the right allocator for the artifact whose root calls it: jemalloc for an executable,
/// the system allocator for a library, unless a feature, a cfg or the argument says otherwise.
///
/// ```
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
/// | `global_allocator!(executable)` | this crate is linked into executables: the policy for them |
/// | `global_allocator!(custom: TYPE = EXPR)` | an allocator of your own |
/// | `global_allocator!(pub static NAME)` | the policy, with a name for the [`Switch`](crate::Switch); any visibility, and attributes |
/// | `global_allocator!(pub static NAME = jemalloc)` | any of the three words with a name |
/// | `global_allocator!(pub static NAME: TYPE = EXPR)` | an allocator of your own with a name |
/// | `…, conf = "key:value,…"` | after any of these, or alone: jemalloc's options |
/// | `…, fallback: TYPE = EXPR` | after any but `system` and your own, or alone: what takes jemalloc's place on a target without it |
///
/// A `#[cfg(…)]` goes in front of the macro. Among the attributes of the static it would remove
/// only that, and leave what else the macro emits.
///
/// Without a name nothing enters the caller's namespace. In a procedural macro the static is not
/// registered, because rustc could not link a program that uses the macro; it has the system
/// allocator anyway.
///
/// # `executable`
///
/// Cargo tells a crate what it is compiled as, so a library crate that owns the static of several
/// programs counts as a library. `executable` says that it is linked into executables. A library
/// that says neither this nor `system` is warned. Nothing can see that a cdylib says it: the cdylib
/// then has a jemalloc that `dlopen` refuses.
///
/// # A fallback
///
/// On a target that is not on the list, an executable gets the fallback in jemalloc's place. It
/// obeys every other veto, so that Miri, sanitizers and whoever builds get the system allocator. It
/// is any type that is `GlobalAlloc + Sync`. With a `#[cfg(…)]` in front it may exist on some
/// targets only:
///
/// ```ignore
/// alloc_switch::global_allocator!(
///     #[cfg(windows)]
///     fallback: mimalloc::MiMalloc = mimalloc::MiMalloc
/// );
/// ```
///
/// # An allocator of your own
///
/// It is any type that is `GlobalAlloc + Sync`. It is used as it stands: no veto applies, and no
/// jemalloc is linked unless the type holds a [`switch!`](crate::switch!), to which the whole rule
/// applies. `examples/counting.rs` and `examples/bump.rs` are such allocators.
///
/// ```
/// use std::alloc::{GlobalAlloc, Layout, System};
///
/// struct NoMoreThan(usize);
///
/// // SAFETY: a null pointer is a refusal; the rest is the system allocator's.
/// unsafe impl GlobalAlloc for NoMoreThan {
///     unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
///         if layout.size() > self.0 {
///             return std::ptr::null_mut();
///         }
///         unsafe { System.alloc(layout) }
///     }
///     unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
///         unsafe { System.dealloc(ptr, layout) }
///     }
/// }
///
/// alloc_switch::global_allocator!(custom: NoMoreThan = NoMoreThan(1 << 20));
///
/// assert!(Vec::<u8>::new().try_reserve(2 << 20).is_err());
/// ```
///
/// A type that is none is refused:
///
/// ```compile_fail,E0277
/// struct NoAllocator;
/// alloc_switch::global_allocator!(custom: NoAllocator = NoAllocator);
/// ```
///
/// # Options
///
/// `conf` takes a constant `&str`, or several in brackets that are joined; the last flag wins.
/// [`conf`](crate::conf) has presets:
///
/// ```no_run
/// # fn main() {}
/// # #[cfg(any())] mod only_in_an_executable {
/// alloc_switch::global_allocator!(conf = [alloc_switch::conf::ONE_ARENA, "dirty_decay_ms:1000"]);
/// # }
/// ```
///
/// It becomes the symbol that jemalloc reads at start-up (`_rjem_malloc_conf` or `malloc_conf`,
/// whichever the jemalloc in the graph reads), and the environment variable
/// [`conf::ENVIRONMENT`](crate::conf::ENVIRONMENT) still beats it. Where the system allocator is
/// chosen, there is no symbol. Keys and values that the jemalloc in the graph does not know are
/// refused; `conf_unchecked`, which is written like `conf`, takes those for a jemalloc that this
/// crate does not know.
///
/// # Errors at compile time
///
/// * jemalloc in a library artifact without the feature `jemalloc-in-libraries`;
/// * a library artifact on the system allocator under the feature `override-malloc`;
/// * `conf` in an artifact that the policy leaves to the system allocator;
/// * an option string that jemalloc would not take, or an argument that is none;
/// * two fallbacks, or one beside `system` or an allocator of your own;
/// * (from rustc) a second `#[global_allocator]` anywhere in the graph.
#[macro_export]
macro_rules! global_allocator {
    (custom: $type:ty = $value:expr $(, $($options:tt)*)?) => {
        const _: () = {
            $crate::global_allocator!(
                static __ALLOC_SWITCH_STATIC: $type = $value $(, $($options)*)?
            );
        };
    };
    (
        $(#[$attribute:meta])* $vis:vis static $name:ident: $type:ty = $value:expr
        $(, $($options:tt)*)?
    ) => {
        $crate::__options! {
            [[$(#[$attribute])* $vis static $name] custom $type = $value] [] [] []
            $(, $($options)*)?
        }
    };
    ($(#[$attribute:meta])* $vis:vis static $name:ident $(= $who:ident)? $(, $($options:tt)*)?) => {
        $crate::__options! {
            [[$(#[$attribute])* $vis static $name] $($who)?] [] [] [] $(, $($options)*)?
        }
    };
    ($who:ident $(, $($options:tt)*)?) => {
        const _: () = {
            $crate::global_allocator!(static __ALLOC_SWITCH_STATIC = $who $(, $($options)*)?);
        };
    };
    ($($options:tt)*) => {
        const _: () = {
            $crate::global_allocator!(static __ALLOC_SWITCH_STATIC, $($options)*);
        };
    };
}

/// The decision for the artifact whose root calls it, as a constant [`Choice`](crate::Choice),
/// without registering.
///
/// It takes the argument and the fallback that [`global_allocator!`](crate::global_allocator!)
/// takes. It refuses nothing, and names no jemalloc symbol.
///
/// ```
/// const CHOICE: alloc_switch::Choice = alloc_switch::choice!();
/// println!("{CHOICE}");
/// ```
#[macro_export]
macro_rules! choice {
    ($($who:ident)? $(,)?) => {
        $crate::__private::choose($crate::__caller!($($who)?), ::core::option::Option::None)
    };
    ($who:ident, $($fallback:tt)+) => { $crate::__choice!([$who] $($fallback)+) };
    ($($fallback:tt)+) => { $crate::__choice!([] $($fallback)+) };
}

/// The type of the chosen allocator and, in an expression, its only value: for a wrapper that takes
/// a `T: GlobalAlloc`.
///
/// It takes the argument and the fallback that [`global_allocator!`](crate::global_allocator!)
/// takes, and refuses what that refuses; the fallback must have no size, as
/// `mimalloc::MiMalloc` has none.
///
/// It registers nothing, so a library that has jemalloc this way (feature `jemalloc-in-libraries`)
/// is not kept loaded after `dlclose`, as it must be on Linux with glibc. Link it with
/// `-z nodelete`: its build script prints `cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete`.
///
/// ```
/// use std::alloc::{GlobalAlloc, Layout};
/// # struct Counted<A>(A);
/// # unsafe impl<A: GlobalAlloc> GlobalAlloc for Counted<A> {
/// #     unsafe fn alloc(&self, layout: Layout) -> *mut u8 { self.0.alloc(layout) }
/// #     unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) { self.0.dealloc(ptr, layout) }
/// # }
///
/// #[global_allocator]
/// static ALLOCATOR: Counted<alloc_switch::switch!(system)> =
///     Counted(alloc_switch::switch!(system));
/// ```
#[macro_export]
macro_rules! switch {
    ($($who:ident)? $(,)?) => { $crate::__switch!([$($who)?]) };
    ($who:ident, $($fallback:tt)+) => { $crate::__switch!([$who] $($fallback)+) };
    ($($fallback:tt)+) => { $crate::__switch!([] $($fallback)+) };
}

/// Reads the options: the item, then `conf`, `conf_unchecked` and the fallback as far as they have
/// been read, then the tail.
#[doc(hidden)]
#[macro_export]
macro_rules! __options {
    ($item:tt $conf:tt $unchecked:tt $fallback:tt $(,)?) => {
        $crate::__register! { $item $conf $unchecked $fallback }
    };
    ($item:tt [] $u:tt $f:tt, conf = [$($part:expr),+ $(,)?] $(, $($rest:tt)*)?) => {
        $crate::__options! { $item [$($part),+] $u $f $(, $($rest)*)? }
    };
    ($item:tt [] $u:tt $f:tt, conf = $part:expr $(, $($rest:tt)*)?) => {
        $crate::__options! { $item [$part] $u $f $(, $($rest)*)? }
    };
    ($item:tt $c:tt [] $f:tt, conf_unchecked = [$($part:expr),+ $(,)?] $(, $($rest:tt)*)?) => {
        $crate::__options! { $item $c [$($part),+] $f $(, $($rest)*)? }
    };
    ($item:tt $c:tt [] $f:tt, conf_unchecked = $part:expr $(, $($rest:tt)*)?) => {
        $crate::__options! { $item $c [$part] $f $(, $($rest)*)? }
    };
    (
        $item:tt $c:tt $u:tt [],
        $(#[cfg($($predicate:tt)*)])? fallback: $type:ty = $value:expr $(, $($rest:tt)*)?
    ) => {
        $crate::__options! {
            $item $c $u [[$(#[cfg($($predicate)*)])?] $type = $value] $(, $($rest)*)?
        }
    };
    ($item:tt [$($c:tt)+] $u:tt $f:tt, conf = $($rest:tt)*) => {
        ::core::compile_error!(
            "alloc-switch: `conf` stands twice: write one, with its parts in brackets"
        );
    };
    ($item:tt $c:tt [$($u:tt)+] $f:tt, conf_unchecked = $($rest:tt)*) => {
        ::core::compile_error!(
            "alloc-switch: `conf_unchecked` stands twice: write one, with its parts in brackets"
        );
    };
    ($item:tt $c:tt $u:tt [$($f:tt)+], $(#[$attribute:meta])? fallback: $($rest:tt)*) => {
        ::core::compile_error!(
            "alloc-switch: `fallback` stands twice: write one, of a type that your own `cfg` \
             chooses"
        );
    };
    ($($other:tt)*) => {
        ::core::compile_error!(
            "alloc-switch: write `global_allocator!()`, optionally with `static NAME`, then \
             `jemalloc`, `system` or `executable`, then `conf = \"key:value,…\"` and \
             `fallback: TYPE = EXPR`, such as \
             `global_allocator!(pub static ALLOCATOR = jemalloc, conf = \"narenas:4\")`; \
             or an allocator of your own, `static NAME: TYPE = EXPR` or `custom: TYPE = EXPR`"
        );
    };
}

/// The normal form: `[[ATTRIBUTES VIS static NAME] WHO] [CONF] [CONF_UNCHECKED] [FALLBACK]`.
#[doc(hidden)]
#[macro_export]
macro_rules! __register {
    ([$static:tt system] $conf:tt $unchecked:tt [$($fallback:tt)+]) => {
        ::core::compile_error!(
            "alloc-switch: `system` never falls back: remove either it or the `fallback`"
        );
    };
    ([$static:tt custom $($own:tt)*] $conf:tt $unchecked:tt [$($fallback:tt)+]) => {
        ::core::compile_error!(
            "alloc-switch: an allocator of your own is used on every target: remove the `fallback`"
        );
    };
    // A fallback that exists on some targets only
    ($item:tt $conf:tt $unchecked:tt [[#[cfg($($predicate:tt)*)]] $type:ty = $value:expr]) => {
        #[cfg($($predicate)*)]
        $crate::__register! { $item $conf $unchecked [[] $type = $value] }
        #[cfg(not($($predicate)*))]
        $crate::__register! { $item $conf $unchecked [] }
    };
    // An allocator of one's own
    (
        [[$(#[$attribute:meta])* $vis:vis static $name:ident] custom $type:ty = $value:expr]
        $conf:tt $unchecked:tt []
    ) => {
        $crate::__check!([system]);
        $crate::__conf!([] $conf $unchecked);
        $(#[$attribute])*
        #[cfg_attr(not(proc_macro), global_allocator)]
        $vis static $name: $type = $crate::__private::custom::<$type>($value);
    };
    ([$static:tt] $($options:tt)*) => {
        $crate::__chosen! { $static [] $($options)* }
    };
    ([$static:tt jemalloc] $($options:tt)*) => {
        $crate::__chosen! { $static [jemalloc] $($options)* }
    };
    ([$static:tt system] $($options:tt)*) => {
        $crate::__chosen! { $static [system] $($options)* }
    };
    ([$static:tt executable] $($options:tt)*) => {
        $crate::__chosen! { $static [executable] $($options)* }
    };
    ([$static:tt $other:ident] $($options:tt)*) => {
        const _: () = { $crate::__caller!($other); };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __chosen {
    (
        [$(#[$attribute:meta])* $vis:vis static $name:ident]
        $who:tt $conf:tt $unchecked:tt [$([] $type:ty = $value:expr)?]
    ) => {
        $crate::__check!($who);
        $crate::__note!($who $(fallback: $type = $value)?);
        $crate::__stay_loaded!($who);
        $crate::__conf!($who $conf $unchecked);
        $(#[$attribute])*
        #[cfg_attr(not(proc_macro), global_allocator)]
        $vis static $name: $crate::Switch<
            $crate::__private::Decided<
                {
                    $crate::__choice!($who $(fallback: $type = $value)?).allocator()
                        as ::core::primitive::u8
                },
                {
                    $crate::__choice!($who $(fallback: $type = $value)?).reason()
                        as ::core::primitive::u8
                },
                ($($type)?),
            >,
        > = $crate::__private::seat(($($crate::__private::custom::<$type>($value))?));
    };
}

/// What is refused, and what rustc warns of where the macro is called.
#[doc(hidden)]
#[macro_export]
macro_rules! __check {
    ([$($who:ident)?]) => {
        const _: () = {
            // deprecated, if there is something to say
            let () = $crate::__private::PAGE_SIZE;
            let () = $crate::__private::Notice::<{
                $crate::__private::is_ambiguous($crate::__caller!($($who)?))
            }>::LIBRARY;
            $crate::__private::refuse($crate::__caller!($($who)?))
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __choice {
    ([$($who:ident)?]) => { $crate::choice!($($who)?) };
    ([$($who:ident)?] $(#[cfg($($predicate:tt)*)])? fallback: $type:ty = $value:expr $(,)?) => {{
        #[allow(unused_variables)]
        let fallback: ::core::option::Option<fn() -> &'static ::core::primitive::str> =
            ::core::option::Option::None;
        $(#[cfg($($predicate)*)])?
        let fallback: ::core::option::Option<fn() -> &'static ::core::primitive::str> =
            ::core::option::Option::Some(::core::any::type_name::<$type>);
        $crate::__private::choose($crate::__caller!($($who)?), fallback)
    }};
    ($($other:tt)*) => {
        ::core::compile_error!(
            "alloc-switch: write nothing, `jemalloc`, `system` or `executable`, and then nothing \
             or `fallback: TYPE = EXPR`"
        )
    };
}

/// The same tokens are a type and an expression, so each part stands where both may have it.
#[doc(hidden)]
#[macro_export]
macro_rules! __switch {
    ([system] $($fallback:tt)+) => {
        ::core::compile_error!(
            "alloc-switch: `system` never falls back: remove either it or the `fallback`"
        )
    };
    ([$($who:ident)?]) => {
        <$crate::__private::Seat<
            {
                let () = $crate::__private::PAGE_SIZE; // deprecated, if there is something to say
                $crate::__private::refuse($crate::__caller!($($who)?));
                $crate::choice!($($who)?).allocator() as ::core::primitive::u8
            },
            { $crate::choice!($($who)?).reason() as ::core::primitive::u8 },
            (),
            0,
        > as $crate::__private::Seated>::Switch
    };
    (
        [$($who:ident)?]
        $(#[cfg($($predicate:tt)*)])? fallback: $type:ty = $value:expr $(,)?
    ) => {
        <$crate::__private::Seat<
            {
                let () = $crate::__private::PAGE_SIZE;
                $crate::__private::refuse($crate::__caller!($($who)?));
                $crate::__choice!(
                    [$($who)?] $(#[cfg($($predicate)*)])? fallback: $type = $value
                ).allocator() as ::core::primitive::u8
            },
            {
                $crate::__choice!(
                    [$($who)?] $(#[cfg($($predicate)*)])? fallback: $type = $value
                ).reason() as ::core::primitive::u8
            },
            fn($(#[cfg($($predicate)*)])? $type),
            {
                #[allow(unused_variables)]
                let witness = 0;
                $(#[cfg($($predicate)*)])?
                let witness = {
                    let fallback: $type = $value; // no part of what is `unsafe` below
                    // SAFETY: the value is that of a constant expression, since this is one, and
                    // its type stands in the parameter before this.
                    unsafe { $crate::__private::witness(fallback) }
                };
                witness
            },
        > as $crate::__private::Seated>::Switch
    };
    ($who:tt $($other:tt)*) => { $crate::__choice!($who $($other)*) };
}

/// The crate that calls the macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __caller {
    () => { $crate::__caller!(@ Nothing) };
    (jemalloc) => { $crate::__caller!(@ Jemalloc) };
    (system) => { $crate::__caller!(@ System) };
    (executable) => { $crate::__caller!(@ Executable) };
    (@ $argument:ident) => {
        $crate::__private::Caller::new(
            $crate::__private::Argument::$argument,
            $crate::__private::Variables {
                cargo: ::core::option_env!("CARGO").is_some()
                    && ::core::option_env!("CARGO_CRATE_NAME").is_some(),
                bin_name: ::core::option_env!("CARGO_BIN_NAME").is_some(),
                target_tmpdir: ::core::option_env!("CARGO_TARGET_TMPDIR").is_some(),
                test: ::core::cfg!(test),
                proc_macro: ::core::cfg!(proc_macro),
            },
        )
    };
    ($other:ident) => {
        ::core::compile_error!(::core::concat!(
            "alloc-switch: `",
            ::core::stringify!($other),
            "` is no argument: write `jemalloc`, `system`, `executable`, or nothing for the \
             policy; an allocator of your own is `custom: TYPE = EXPR`"
        ))
    };
}

// In `.init_array` the loader finds functions to call: here one, or none.
#[cfg(all(
    alloc_switch_jemalloc,
    feature = "jemalloc-in-libraries",
    target_os = "linux",
    target_env = "gnu"
))]
#[doc(hidden)]
#[macro_export]
macro_rules! __stay_loaded {
    ([$($who:ident)?]) => {
        const _: () = {
            const FUNCTIONS: ::core::primitive::usize =
                $crate::__private::stays_loaded($crate::__caller!($($who)?)) as _;
            #[used]
            #[link_section = ".init_array"]
            static INIT: [extern "C" fn(); FUNCTIONS] =
                [$crate::__private::stay_loaded; FUNCTIONS];
        };
    };
}

#[cfg(not(all(
    alloc_switch_jemalloc,
    feature = "jemalloc-in-libraries",
    target_os = "linux",
    target_env = "gnu"
)))]
#[doc(hidden)]
#[macro_export]
macro_rules! __stay_loaded {
    ($who:tt) => {};
}

/// A note in the file, so that its choice can be read without running it. It is no part of what is
/// loaded, so neither the code nor its place changes. A library on the system allocator has none.
#[cfg(alloc_switch_note)]
#[doc(hidden)]
#[macro_export]
macro_rules! __note {
    ([$($who:ident)?] $(fallback: $type:ty = $value:expr)?) => {
        const _: () = {
            mod note {
                const NOTE: $crate::__private::Note = $crate::__private::Note::new(
                    $crate::__caller!($($who)?),
                    &[$(::core::stringify!($type))?],
                );
                ::core::arch::global_asm!(
                    ".if {present}",
                    ".pushsection .note.alloc-switch, \"\", %note",
                    ".balign 4",
                    ".4byte 13, 128, 1",
                    ".asciz \"alloc-switch\"",
                    ".balign 4",
                    ".8byte {0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}",
                    ".8byte {8}, {9}, {10}, {11}, {12}, {13}, {14}, {15}",
                    ".popsection",
                    ".endif",
                    const NOTE.word(0), const NOTE.word(1), const NOTE.word(2),
                    const NOTE.word(3), const NOTE.word(4), const NOTE.word(5),
                    const NOTE.word(6), const NOTE.word(7), const NOTE.word(8),
                    const NOTE.word(9), const NOTE.word(10), const NOTE.word(11),
                    const NOTE.word(12), const NOTE.word(13), const NOTE.word(14),
                    const NOTE.word(15),
                    present = const NOTE.is_present(),
                );
            }
        };
    };
}

#[cfg(not(alloc_switch_note))]
#[doc(hidden)]
#[macro_export]
macro_rules! __note {
    ($($note:tt)*) => {};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conf {
    ($who:tt [] []) => {};
    ([$($who:ident)?] [$($part:expr),*] [$($unchecked:expr),*]) => {
        const _: () = {
            $crate::__private::refuse_conf($crate::__caller!($($who)?));
            const __ALLOC_SWITCH_CONF: &[&::core::primitive::str] = &[$($part),*];
            const __ALLOC_SWITCH_UNCHECKED: &[&::core::primitive::str] = &[$($unchecked),*];
            const __ALLOC_SWITCH_OPTIONS: [
                ::core::primitive::u8;
                $crate::__private::joined_len(__ALLOC_SWITCH_CONF, __ALLOC_SWITCH_UNCHECKED)
            ] = $crate::__private::join(__ALLOC_SWITCH_CONF, __ALLOC_SWITCH_UNCHECKED);
            $crate::__conf_symbol!([$($who)?] __ALLOC_SWITCH_OPTIONS);
        };
    };
}

// The symbol that jemalloc reads. It holds a `const char *`, which a reference to an array of known
// size is too. It must stand in the crate with the allocator: the linker passes over one in another
// rlib without a word.

#[cfg(alloc_switch_jemalloc)]
#[doc(hidden)]
#[macro_export]
macro_rules! __conf_symbol {
    ([system] $options:ident) => {
        const _: &[::core::primitive::u8] = &$options;
    };
    ([$($who:ident)?] $options:ident) => {
        #[used]
        #[export_name = $crate::__conf_name!()]
        static __ALLOC_SWITCH_MALLOC_CONF: &[::core::primitive::u8; $options.len()] = &$options;
    };
}

// On Apple the names stay prefixed.
#[cfg(all(alloc_switch_malloc, not(target_vendor = "apple")))]
#[doc(hidden)]
#[macro_export]
macro_rules! __conf_name {
    () => {
        "malloc_conf"
    };
}

#[cfg(not(all(alloc_switch_malloc, not(target_vendor = "apple"))))]
#[doc(hidden)]
#[macro_export]
macro_rules! __conf_name {
    () => {
        "_rjem_malloc_conf"
    };
}

#[cfg(not(alloc_switch_jemalloc))]
#[doc(hidden)]
#[macro_export]
macro_rules! __conf_symbol {
    ($who:tt $options:ident) => {
        const _: &[::core::primitive::u8] = &$options;
    };
}
