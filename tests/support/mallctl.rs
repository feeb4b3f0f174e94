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

/// How many bytes the option has, if jemalloc lets it be read.
#[allow(dead_code)] // each includer uses its part
pub fn size(key: &alloc_switch::conf::Key) -> Option<usize> {
    let name = key.opt();
    let name = CStr::from_bytes_until_nul(&name).unwrap();
    let sizes = [(1, read::<u8>(name).is_some()), (4, read::<u32>(name).is_some())];
    let sizes = [sizes[0], sizes[1], (8, read::<u64>(name).is_some())];
    sizes.into_iter().find(|(_, accepted)| *accepted).map(|(size, _)| size)
}
