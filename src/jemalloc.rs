//! What the handle does on jemalloc. Every function is `#[inline]`, so that it is compiled into an artifact that calls it
//! and into no other: a reference to jemalloc in this crate's own object file would drag it into System artifacts.

use core::ffi::{c_char, c_uint, c_void, CStr};
use core::mem::size_of;
use core::ptr;

use tikv_jemallocator::Jemalloc;

use crate::switch::Backend;

impl Backend for Jemalloc {
    #[inline]
    fn owns(ptr: *const u8) -> bool {
        owns(ptr)
    }
}

/// `arenas.lookup`: whether jemalloc knows the address. It may be any address at all.
#[inline]
pub(crate) fn owns(ptr: *const u8) -> bool {
    let mut arena: c_uint = 0;
    let mut len = size_of::<c_uint>();
    let name: &CStr = c"arenas.lookup";
    // SAFETY: the name is a C string, `arena` and `len` are what the key writes, and the new value is one pointer.
    let error = unsafe {
        tikv_jemalloc_sys::mallctl(
            name.as_ptr() as *const c_char,
            ptr::from_mut(&mut arena).cast::<c_void>(),
            &mut len,
            ptr::from_ref(&ptr).cast_mut().cast::<c_void>(),
            size_of::<*const u8>(),
        )
    };
    error == 0
}
