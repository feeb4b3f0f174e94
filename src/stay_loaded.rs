//! A library with jemalloc inside cannot be unloaded, and says so to the loader.

use crate::{Artifact, Choice};

/// Whether the artifact is such a library. A program cannot be unloaded, and musl unloads nothing.
pub const fn stays_loaded(choice: Choice, artifact: Artifact) -> bool {
    choice.is_jemalloc()
        && matches!(artifact, Artifact::Library)
        && cfg!(all(target_os = "linux", target_env = "gnu"))
}

/// Makes `dlclose` leave this library where it is, as `-z nodelete` would, which no dependency can hand to the linker.
///
/// jemalloc never gives its arenas and its thread-specific key back. Unloaded, it would leave both behind: a thread that
/// ends later calls a destructor that is no longer there, and the thousandth load finds no key left.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub extern "C" fn stay_loaded() {
    use core::ffi::{c_char, c_int, c_void};
    use core::mem::MaybeUninit;

    // https://man7.org/linux/man-pages/man3/dladdr.3.html
    #[repr(C)]
    struct DlInfo {
        dli_fname: *const c_char,
        dli_fbase: *mut c_void,
        dli_sname: *const c_char,
        dli_saddr: *mut c_void,
    }

    extern "C" {
        fn dladdr(address: *const c_void, info: *mut DlInfo) -> c_int;
        fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
    }
    const RTLD_LAZY: c_int = 1;
    const RTLD_NOLOAD: c_int = 4;
    const RTLD_NODELETE: c_int = 0x1000;

    let mut info = MaybeUninit::<DlInfo>::uninit();
    // SAFETY: the address is in the library that is meant, and the name that `dladdr` gives is a C string.
    unsafe {
        if dladdr(stay_loaded as *const c_void, info.as_mut_ptr()) != 0 {
            dlopen(info.assume_init().dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
        }
    }
}
