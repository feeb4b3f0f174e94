//! A plug-in. It prints nothing itself, so that it also runs where there is no standard output.

#![allow(deprecated)] // the macro advises an argument; here the rule is to decide

use std::ffi::{c_char, CString};

use alloc_switch::Handle;

alloc_switch::global_allocator!(static ALLOCATOR);

/// The decision and what came of asking the process; never freed.
#[no_mangle]
pub extern "C" fn fixture_line() -> *mut c_char {
    CString::new(format!("{ALLOCATOR}: {:?}", ALLOCATOR.self_check())).unwrap().into_raw()
}
