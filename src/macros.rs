//! The macros. They expand in the root crate of an artifact, because only there rustc and Cargo say
//! what it is.
//!
//! `global_allocator!(static A)` becomes `#[global_allocator] static A: Chosen<…> = …`. The type
//! has one constant in it, a block that asks the rule, and all that follows from the answer stands
//! in that block: what is refused, the note, and jemalloc's options.
//!
//! Helper items begin with `__ALLOC_SWITCH_`, so that they cannot collide with a caller's names.

/// Registers the right allocator for the artifact whose root calls it: jemalloc for an executable,
/// the system allocator for a library, unless a feature, a cfg or the argument says otherwise.
///
/// ```
/// alloc_switch::global_allocator!(pub static ALLOCATOR);
///
/// println!("{ALLOCATOR}");
/// ```
///
/// ```text
/// global_allocator!( [ATTRIBUTES VIS static NAME] [= WHO] [, conf = CONF] [, FALLBACK] )
/// ```
///
/// Each part may be left out, and they stand in this order. Without a name it is
/// `global_allocator!(WHO, conf = CONF, FALLBACK)`, and nothing enters the caller's namespace.
///
/// | WHO | meaning |
/// |---|---|
/// | nothing | the policy decides |
/// | `jemalloc` | jemalloc, where nothing forbids it |
/// | `system` | the system allocator |
/// | `executable` | this crate is linked into executables: the policy for them |
/// | `custom: TYPE = EXPR` | this allocator in jemalloc's place |
///
/// In a procedural macro the static is not registered, because rustc could not link a program that
/// uses the macro; it has the system allocator anyway.
///
/// # `executable`
///
/// Cargo tells a crate what it is compiled as, so a library crate that owns the static of several
/// programs counts as a library. `executable` says that it is linked into executables. A library
/// that says neither this nor `system` is warned. Not detected are a cdylib that says `executable`,
/// one whose own build script sets `CARGO_BIN_NAME` for it, and one that only uses a type of this
/// crate under `override-malloc`. None of them can be loaded.
///
/// # `custom`
///
/// An allocator of your own choice takes jemalloc's place, by your word: in a library too. Every
/// veto applies to it but those that speak of jemalloc alone, the feature `jemalloc` and the list
/// of targets: under Miri, a sanitizer, a fuzzer, `-C prefer-dynamic` or
/// `--cfg alloc_switch="system"` it is the system allocator. TYPE is any type that is
/// `GlobalAlloc + Sync`:
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
/// # #[cfg(not(any(miri, alloc_switch = "system")))]
/// assert!(Vec::<u8>::new().try_reserve(2 << 20).is_err());
/// ```
///
/// Another type is refused:
///
/// ```compile_fail,E0277
/// struct NoAllocator;
/// alloc_switch::global_allocator!(custom: NoAllocator = NoAllocator);
/// ```
///
/// For an allocator as it stands, which no veto reaches, write Rust's own
/// `#[global_allocator] static A: TYPE = EXPR;`.
///
/// # FALLBACK
///
/// `fallback: TYPE = EXPR`: on a target that is not on the list, an executable gets this allocator
/// in jemalloc's place. It obeys every other veto. With a `#[cfg(…)]` in front it may exist on some
/// targets only:
///
/// ```ignore
/// alloc_switch::global_allocator!(
///     #[cfg(windows)]
///     fallback: mimalloc::MiMalloc = mimalloc::MiMalloc
/// );
/// ```
///
/// # CONF
///
/// A constant `&str` with jemalloc's options, or several in brackets that are joined; the last one
/// of a name wins. A `#[cfg(…)]` may stand before one. [`conf`](crate::conf) has presets, and says
/// what is checked:
///
/// ```no_run
/// # fn main() {}
/// # #[cfg(any())] mod only_in_an_executable {
/// alloc_switch::global_allocator!(conf = [
///     alloc_switch::conf::GIVE_BACK,
///     #[cfg(target_os = "linux")]
///     "thp:always",
/// ]);
/// # }
/// ```
///
/// It becomes the symbol that jemalloc reads at start-up (`_rjem_malloc_conf` or `malloc_conf`,
/// whichever the jemalloc in the graph reads), and the environment variable
/// [`conf::ENVIRONMENT`](crate::conf::ENVIRONMENT) still beats it. In a build without jemalloc
/// there is no symbol.
///
/// # Errors at compile time
///
/// * jemalloc in a library artifact without the feature `jemalloc-in-libraries`;
/// * a library artifact on the system allocator under the feature `override-malloc`;
/// * `conf` in an artifact that the policy leaves to the system allocator, or beside `system` or
///   `custom`; `fallback` beside these two;
/// * an option that this jemalloc does not know, or an argument that is not understood;
/// * (from rustc) a second `#[global_allocator]` anywhere in the graph.
#[macro_export]
macro_rules! global_allocator {
    ($(#[$attribute:meta])* $vis:vis static $name:ident = $($rest:tt)*) => {
        $crate::__parse! { @who [$(#[$attribute])* $vis static $name] $($rest)* }
    };
    ($(#[$attribute:meta])* $vis:vis static $name:ident $(, $($rest:tt)*)?) => {
        $crate::__parse! {
            @conf [$(#[$attribute])* $vis static $name] [Default] $($($rest)*)?
        }
    };
    ($(#[$attribute:meta])* $vis:vis static $name:ident: $($rest:tt)*) => {
        $crate::__parse! { @refuse
            "write `static NAME = custom: TYPE = EXPR` for an allocator in jemalloc's \
             place, or Rust's own `#[global_allocator] static NAME: TYPE = EXPR;` for one as it \
             stands"
        }
    };
    ($($rest:tt)*) => {
        const _: () = {
            $crate::__parse! { @who [static __ALLOC_SWITCH_STATIC] $($rest)* }
        };
    };
}

/// The decision for the artifact whose root calls it, as a constant [`Choice`](crate::Choice),
/// without registering.
///
/// It takes WHO and FALLBACK as [`global_allocator!`](crate::global_allocator!) does, of which it
/// does not look at EXPR. It refuses no artifact, and names no jemalloc symbol.
///
/// ```
/// const CHOICE: alloc_switch::Choice = alloc_switch::choice!();
/// println!("{CHOICE}");
/// ```
#[macro_export]
macro_rules! choice {
    ($($rest:tt)*) => { $crate::__parse!(@who [choice] $($rest)*) };
}

/// The type of the chosen allocator, [`Chosen`](crate::Chosen), for a wrapper that takes a
/// `T: GlobalAlloc`.
///
/// It takes `jemalloc`, `system` or `executable` as
/// [`global_allocator!`](crate::global_allocator!) does, and refuses what that refuses; and
/// `fallback: TYPE`, without a value.
///
/// ```
/// use std::alloc::{GlobalAlloc, Layout};
/// # struct Counted<A>(A);
/// # unsafe impl<A: GlobalAlloc> GlobalAlloc for Counted<A> {
/// #     unsafe fn alloc(&self, layout: Layout) -> *mut u8 { self.0.alloc(layout) }
/// #     unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) { self.0.dealloc(ptr, layout) }
/// # }
///
/// type Inner = alloc_switch::switch!(system);
///
/// #[global_allocator]
/// static ALLOCATOR: Counted<Inner> = Counted(Inner::new());
/// ```
///
/// With a fallback the value is `Inner::with_fallback(value)`. One that exists on some targets only
/// is a type that your own `cfg` chooses, with `std::alloc::System` as the other:
///
/// ```
/// #[cfg(windows)]
/// use mimalloc::MiMalloc as Fallback;
/// #[cfg(not(windows))]
/// use std::alloc::System as Fallback;
///
/// type Inner = alloc_switch::switch!(executable, fallback: Fallback);
/// const INNER: Inner = Inner::with_fallback(Fallback);
/// ```
#[macro_export]
macro_rules! switch {
    ($($rest:tt)*) => { $crate::__parse!(@who [switch] $($rest)*) };
}

/// Reads the arguments from left to right, each step one part: `@who`, `@conf`, `@fallback`; after
/// `system` and `custom`, which stand alone, `@alone`. Then `@emit` has the normal form: what to
/// make (`[ATTRIBUTES VIS static NAME]`, `[choice]` or `[switch]`), the argument, `[]` or
/// `[[CONF]]`, `[]` or `[TYPE]`, and the value. `@misplaced` and `@refuse` end in a sentence.
#[doc(hidden)]
#[macro_export]
macro_rules! __parse {
    (@who $out:tt jemalloc $(, $($rest:tt)*)?) => {
        $crate::__parse! { @conf $out [Jemalloc] $($($rest)*)? }
    };
    (@who $out:tt system $(, $($rest:tt)*)?) => {
        $crate::__parse! { @alone $out [System] ($crate::Chosen::new()) $($($rest)*)? }
    };
    (@who $out:tt executable $(, $($rest:tt)*)?) => {
        $crate::__parse! { @conf $out [Executable] $($($rest)*)? }
    };
    (@who $out:tt custom: $type:ty = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__parse! {
            @alone $out [Custom $type] ($crate::Chosen::with_fallback($value)) $($($rest)*)?
        }
    };
    (@who $out:tt $word:ident $(, $($rest:tt)*)?) => {
        $crate::__parse! { @refuse
            "`", ::core::stringify!($word), "` is not understood: did you mean \
             `jemalloc`, `system`, `executable` or `custom: TYPE = EXPR`?"
        }
    };
    (@who $out:tt $($rest:tt)*) => { $crate::__parse! { @conf $out [Default] $($rest)* } };

    (@alone $out:tt [$argument:ident $($type:ty)?] $value:tt) => {
        $crate::__parse! { @emit $out $argument [] [$($type)?] $value }
    };
    (@alone $out:tt $who:tt $value:tt $($rest:tt)+) => {
        $crate::__parse! { @refuse
            "`", ::core::stringify!($($rest)+), "` cannot be combined with `system` \
             or `custom`: `conf` and `fallback` are for jemalloc"
        }
    };

    (@conf $out:tt $who:tt conf = [$($part:tt)*] $(, $($rest:tt)*)?) => {
        $crate::__parse! { @fallback $out $who [[$($part)*]] $($($rest)*)? }
    };
    (@conf $out:tt $who:tt conf = $part:expr $(, $($rest:tt)*)?) => {
        $crate::__parse! { @fallback $out $who [[$part]] $($($rest)*)? }
    };
    (@conf $out:tt $who:tt $($rest:tt)*) => {
        $crate::__parse! { @fallback $out $who [] $($rest)* }
    };

    (@fallback $out:tt [$argument:ident] $conf:tt) => {
        $crate::__parse! { @emit $out $argument $conf [] ($crate::Chosen::new()) }
    };
    (@fallback [switch] [$argument:ident] [] fallback: $type:ty $(,)?) => {
        $crate::__parse! { @emit [switch] $argument [] [$type] () }
    };
    (@fallback [switch] $($other:tt)*) => { $crate::__parse! { @misplaced } };
    (@fallback $out:tt [$argument:ident] $conf:tt fallback: $type:ty = $value:expr $(,)?) => {
        $crate::__parse! {
            @emit $out $argument $conf [$type] ($crate::Chosen::with_fallback($value))
        }
    };
    (
        @fallback [choice] [$argument:ident] $conf:tt
        #[cfg($($predicate:tt)*)] fallback: $($rest:tt)*
    ) => {{
        #[cfg($($predicate)*)]
        const __ALLOC_SWITCH_CHOICE: $crate::Choice =
            $crate::__parse!(@fallback [choice] [$argument] $conf fallback: $($rest)*);
        #[cfg(not($($predicate)*))]
        const __ALLOC_SWITCH_CHOICE: $crate::Choice =
            $crate::__parse!(@fallback [choice] [$argument] $conf);
        __ALLOC_SWITCH_CHOICE
    }};
    (
        @fallback [$($static:tt)*] [$argument:ident] $conf:tt
        #[cfg($($predicate:tt)*)] fallback: $($rest:tt)*
    ) => {
        #[cfg($($predicate)*)]
        $crate::__parse! { @fallback [$($static)*] [$argument] $conf fallback: $($rest)* }
        #[cfg(not($($predicate)*))]
        $crate::__parse! { @fallback [$($static)*] [$argument] $conf }
    };
    (@fallback $out:tt $who:tt [$($conf:tt)+] conf = $($rest:tt)*) => {
        $crate::__parse! { @refuse "`conf` is given twice: write `conf = [a, b]`" }
    };
    (@fallback $out:tt $who:tt $conf:tt $($rest:tt)+) => {
        $crate::__parse! { @refuse
            "`", ::core::stringify!($($rest)+), "` is not understood here: write \
             `global_allocator!(static NAME = jemalloc, conf = \"key:value\", fallback: TYPE = \
             EXPR)` in this order, where each part may be left out, and `system`, `executable` or \
             `custom: TYPE = EXPR` may stand for `jemalloc`"
        }
    };

    (@emit [choice] $argument:ident [] [$($type:ty)?] $value:tt) => {
        $crate::__private::choose::<($($type)?)>($crate::__caller!($argument [$($type)?]))
    };
    (@emit [switch] Custom $($other:tt)*) => { $crate::__parse! { @misplaced } };
    (@emit [switch] $argument:ident [] $type:tt $value:tt) => {
        $crate::__chosen!($argument [] $type)
    };
    (
        @emit [$(#[$attribute:meta])* $vis:vis static $name:ident]
        $argument:ident $conf:tt $type:tt ($value:expr)
    ) => {
        $(#[$attribute])*
        // By its path, because a neighbour's attribute may have the same name.
        #[cfg_attr(not(proc_macro), $crate::__private::global_allocator)]
        $vis static $name: $crate::__chosen!($argument $conf $type) = $value;
    };
    (@emit $($other:tt)*) => { $crate::__parse! { @misplaced } };

    (@misplaced) => {
        $crate::__parse! { @refuse
            "`conf` is for `global_allocator!` alone, and `switch!` takes no value, but \
             `fallback: TYPE`, of a type that your own `cfg` chooses: hand the value to \
             `with_fallback`"
        }
    };
    (@refuse $($text:tt)*) => {
        ::core::compile_error! { ::core::concat!("alloc-switch: ", $($text)*) }
    };
}

/// The type: the rule is asked in its constant, and what follows from the answer stands beside it.
/// `($($type)?)` is the author's type in parentheses, or `()`.
#[doc(hidden)]
#[macro_export]
macro_rules! __chosen {
    ($argument:ident [$([$($part:tt)*])?] [$($type:ty)?]) => {
        $crate::Chosen<
            <$crate::__private::Code<{
                const __ALLOC_SWITCH: $crate::__private::Decision =
                    $crate::__private::Decision::new::<($($type)?)>(
                        $crate::__caller!($argument [$($type)?])
                    );

                // What cannot work, and what rustc warns of: deprecated, if there is something.
                __ALLOC_SWITCH.check();
                let () = $crate::__private::PAGE_SIZE_WARNING;
                let () = $crate::__private::LibraryWarning::<{ __ALLOC_SWITCH.says_nothing() }>
                    ::THIS_LIBRARY_GETS_THE_SYSTEM_ALLOCATOR;

                // The note, or none. An ELF linker keeps it for its section's name, others for
                // `used`.
                const __ALLOC_SWITCH_TEXT: [&::core::primitive::str; 6] =
                    __ALLOC_SWITCH.note(&[$(::core::stringify!($type))?]);
                const __ALLOC_SWITCH_SPACE: ::core::primitive::usize =
                    $crate::__private::note_space(__ALLOC_SWITCH_TEXT);
                const __ALLOC_SWITCH_COUNT: ::core::primitive::usize =
                    (__ALLOC_SWITCH_SPACE > 0) as _;
                type __AllocSwitchNote = $crate::__private::Note<__ALLOC_SWITCH_SPACE>;
                const __ALLOC_SWITCH_NOTE: __AllocSwitchNote =
                    __AllocSwitchNote::new(__ALLOC_SWITCH_TEXT);
                #[used]
                #[cfg_attr(
                    all(unix, not(any(target_vendor = "apple", target_family = "wasm"))),
                    link_section = ".note.alloc-switch"
                )]
                static __ALLOC_SWITCH_NOTES: [__AllocSwitchNote; __ALLOC_SWITCH_COUNT] =
                    [__ALLOC_SWITCH_NOTE; __ALLOC_SWITCH_COUNT];

                // In `.init_array` the loader finds functions to call: here one, or none.
                #[cfg(all(target_os = "linux", target_env = "gnu"))]
                #[used]
                #[link_section = ".init_array"]
                static __ALLOC_SWITCH_INIT: [extern "C" fn(); __ALLOC_SWITCH.stays_loaded()] =
                    [$crate::__private::stay_loaded; __ALLOC_SWITCH.stays_loaded()];

                $(
                    __ALLOC_SWITCH.check_conf();
                    const __ALLOC_SWITCH_CONF: &[&::core::primitive::str] = &[$($part)*];
                    $crate::__conf_symbol!(__ALLOC_SWITCH_CONF);
                )?
                __ALLOC_SWITCH.code()
            }> as $crate::__private::Decode>::Answer<($($type)?)>
        >
    };
}

/// The crate that calls the macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __caller {
    ($argument:ident [$($type:ty)?]) => {
        $crate::__private::Caller::new(
            $crate::__private::Argument::$argument,
            // whether there is a type; by its path, because a caller's trait may have a `len`
            <[&::core::primitive::str]>::len(&[$(::core::stringify!($type),)? ""]) > 1,
            $crate::__private::CargoEnv {
                cargo: ::core::option_env!("CARGO").is_some()
                    && ::core::option_env!("CARGO_CRATE_NAME").is_some(),
                bin_name: ::core::option_env!("CARGO_BIN_NAME").is_some(),
                target_tmpdir: ::core::option_env!("CARGO_TARGET_TMPDIR").is_some(),
                test: ::core::cfg!(test),
                proc_macro: ::core::cfg!(proc_macro),
            },
        )
    };
}

/// The symbol that jemalloc reads. It holds a `const char *`, which a reference to an array of
/// known size is too. It must stand in the crate with the allocator: the linker passes over one in
/// another rlib without a word. This macro writes that macro, once for each name of the symbol.
macro_rules! define_conf_symbol {
    ($dollar:tt $(#[$attribute:meta])*) => {
        #[doc(hidden)]
        #[macro_export]
        macro_rules! __conf_symbol {
            ($dollar conf:ident) => {
                $(#[$attribute])*
                static __ALLOC_SWITCH_MALLOC_CONF: &[
                    ::core::primitive::u8;
                    $dollar crate::__private::joined_len($dollar conf)
                ] = &$dollar crate::__private::join($dollar conf);
            };
        }
    };
}

cfg_if::cfg_if! {
    if #[cfg(not(alloc_switch_jemalloc))] {
        define_conf_symbol!($ #[allow(dead_code)]);
    } else if #[cfg(all(alloc_switch_malloc, not(target_vendor = "apple")))] {
        define_conf_symbol!($ #[used] #[export_name = "malloc_conf"]);
    } else {
        define_conf_symbol!($ #[used] #[export_name = "_rjem_malloc_conf"]);
    }
}
