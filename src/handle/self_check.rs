//! Asks the running process whether the choice holds.

use std::alloc::{alloc, dealloc, GlobalAlloc, Layout};
use std::fmt;
use std::hint::black_box;

use crate::chosen::Choice;

/// What [`Handle::self_check`](crate::Handle::self_check) found wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SelfCheckError {
    /// Memory that this artifact allocates does not come from the allocator that was chosen for it:
    /// another allocator is registered, or the feature `override-malloc` has put jemalloc behind
    /// the system allocator's `malloc`.
    Artifact(Choice),
    /// Memory that the standard library allocates in its own compiled code comes from another
    /// allocator, because it is shared (`-C prefer-dynamic`, or a dependency of crate type dylib).
    /// The program will abort when one side frees the other's memory.
    Std(Choice),
    /// A sanitizer's runtime is in the process, and does not see the memory of this allocator.
    Sanitizer(Choice),
}

impl fmt::Display for SelfCheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (choice, finding) = match self {
            SelfCheckError::Artifact(choice) => (
                choice,
                "memory allocated here does not come from it: another allocator is registered, or \
                 override-malloc put jemalloc behind malloc",
            ),
            SelfCheckError::Std(choice) => (
                choice,
                "memory allocated inside the standard library does not come from it: std is \
                 shared, through -C prefer-dynamic or a dylib dependency, and freeing across will \
                 abort; link std statically, choose the system allocator, or turn on \
                 override-malloc",
            ),
            SelfCheckError::Sanitizer(choice) => (
                choice,
                "a sanitizer is on, which sees only the system allocator's memory: build with \
                 --cfg alloc_switch=\"system\" in RUSTFLAGS, or put -Zsanitizer there, where this \
                 crate sees it",
            ),
        };
        write!(f, "the chosen allocator is {choice}, but {finding}")
    }
}

impl std::error::Error for SelfCheckError {}

/// Of jemalloc. `allocated` is how many bytes jemalloc has counted for the calling thread.
#[cfg(alloc_switch_jemalloc)]
#[inline]
pub(super) fn of_jemalloc(
    choice: Choice,
    allocated: impl Fn() -> Option<u64>,
) -> Result<(), SelfCheckError> {
    of_author(choice)?;
    let counts = |before: Option<u64>, bytes: usize| match (before, allocated()) {
        (Some(before), Some(after)) => after.wrapping_sub(before) >= bytes as u64,
        _ => true, // the check cannot run
    };

    let before = allocated();
    let Some(is_counted) = with_block(64, &Global, || counts(before, 64)) else { return Ok(()) };
    if !is_counted {
        return Err(SelfCheckError::Artifact(choice));
    }

    // The part of `fmt::format` that allocates is in std's own object code, wherever that is
    // linked.
    let before = allocated();
    let text = fmt::format(black_box(format_args!("{choice} {:p}", &before)));
    if !counts(before, text.len()) {
        std::mem::forget(text); // freeing it would abort
        return Err(SelfCheckError::Std(choice));
    }
    Ok(())
}

/// Of the system allocator. `allocated` is how many bytes the C library has handed out, to every
/// thread.
///
/// A block counts as the C library's if that number rises with it and falls without it, by about
/// its size. Other threads can spoil that, for a block of `System` as easily as for one of the
/// registered allocator. So both are tried by turns, until one of the registered allocator counts;
/// it is blamed if `ENOUGH` of `System` did and none of its own. Where the registered allocator
/// gives no block, or the C library does not count what `System` allocates, because `malloc` was
/// replaced, the check cannot run.
#[allow(dead_code)] // where the C library does not count
#[inline]
pub(super) fn of_system(
    choice: Choice,
    allocated: impl Fn() -> Option<usize>,
) -> Result<(), SelfCheckError> {
    let is_counted = |bytes: usize, allocator: &dyn GlobalAlloc| {
        let before = allocated()?;
        let with = with_block(bytes, allocator, &allocated)??;
        let after = allocated()?;
        let is_near = |difference: usize| (bytes / 2..bytes * 2).contains(&difference);
        Some(is_near(with.wrapping_sub(before)) && is_near(with.wrapping_sub(after)))
    };
    const ENOUGH: usize = 24; // by chance in less than one check of 2^24
    let mut counted = 0;
    // Small blocks, which leave glibc's threshold for `mmap` where it is, are enough in a program
    // that does nothing else; large ones stand out.
    for n in 0..2 * ENOUGH {
        let bytes = if n < ENOUGH / 2 { 64 << 10 } else { 1 << 20 };
        match (is_counted(bytes, &std::alloc::System), is_counted(bytes, &Global)) {
            (_, Some(true)) => return Ok(()),
            (Some(true), Some(false)) => counted += 1,
            _ => {}
        }
    }
    (counted < ENOUGH).then_some(()).ok_or(SelfCheckError::Artifact(choice))
}

/// Of a fallback or custom allocator, which nobody can ask. A sanitizer does not see it.
#[inline]
pub(super) fn of_author(choice: Choice) -> Result<(), SelfCheckError> {
    match has_sanitizer() {
        true => Err(SelfCheckError::Sanitizer(choice)),
        false => Ok(()),
    }
}

/// The registered allocator.
struct Global;

// SAFETY: both functions are the registered allocator's, which keeps what `GlobalAlloc` promises.
unsafe impl GlobalAlloc for Global {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the layout has a size, as the caller promises.
        unsafe { alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the block is the registered allocator's, with this layout, as the caller
        // promises.
        unsafe { dealloc(ptr, layout) }
    }
}

/// What `ask` answers while there is a block of this size; `None` if the allocator gives none.
#[inline]
fn with_block<T>(bytes: usize, allocator: &dyn GlobalAlloc, ask: impl FnOnce() -> T) -> Option<T> {
    let layout = Layout::array::<u8>(bytes).expect("less than a usize can hold");
    // SAFETY: the layout has a size.
    let block = black_box(unsafe { allocator.alloc(layout) });
    if block.is_null() {
        return None;
    }
    let answer = ask();
    // SAFETY: the block was allocated above, by this allocator and with this layout.
    unsafe { allocator.dealloc(block, layout) };
    Some(answer)
}

/// Whether the runtime of a sanitizer is in the process.
#[inline]
fn has_sanitizer() -> bool {
    cfg_if::cfg_if! {
        if #[cfg(all(
            target_os = "linux",
            any(target_arch = "x86_64", target_arch = "aarch64"),
            not(any(miri, kani))
        ))] {
            /// Where the linker has put a function, or null. rustc links the runtimes statically
            /// and exports nothing, so that only a weak reference finds them.
            macro_rules! address_of {
                ($function:literal) => {{
                    let address: *const u8;
                    // SAFETY: this reads the symbol's entry in the global offset table.
                    unsafe {
                        #[cfg(target_arch = "x86_64")]
                        std::arch::asm!(
                            concat!(".weak ", $function),
                            concat!("mov {0}, qword ptr [rip + ", $function, "@GOTPCREL]"),
                            out(reg) address,
                            options(pure, nomem, nostack, preserves_flags),
                        );
                        #[cfg(target_arch = "aarch64")]
                        std::arch::asm!(
                            concat!(".weak ", $function),
                            concat!("adrp {0}, :got:", $function),
                            concat!("ldr {0}, [{0}, :got_lo12:", $function, "]"),
                            out(reg) address,
                            options(pure, nomem, nostack, preserves_flags),
                        );
                    }
                    address
                }};
            }
            [
                address_of!("__asan_init"),
                address_of!("__hwasan_init"),
                address_of!("__lsan_init"),
                address_of!("__msan_init"),
                address_of!("__tsan_init"),
            ]
            .into_iter()
            .any(|address| !address.is_null())
        } else if #[cfg(all(unix, not(any(miri, kani))))] {
            [c"__asan_init", c"__hwasan_init", c"__lsan_init", c"__msan_init", c"__tsan_init"]
                .into_iter()
                // SAFETY: the name is a C string, and the address is only compared.
                .any(|name| !unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }.is_null())
        } else {
            false
        }
    }
}
