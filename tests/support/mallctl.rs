//! Reads what jemalloc has, past this crate.

use std::ffi::CStr;

/// `None` if there is no such key, or if its type has another size.
pub fn read<T>(key: &CStr) -> Option<T> {
    let (mut value, mut len) = (std::mem::MaybeUninit::<T>::uninit(), size_of::<T>());
    // SAFETY: the value is written if its size is that of the key's type.
    unsafe {
        let old = value.as_mut_ptr().cast();
        let error =
            tikv_jemalloc_sys::mallctl(key.as_ptr(), old, &raw mut len, std::ptr::null_mut(), 0);
        (error == 0).then(|| value.assume_init())
    }
}
