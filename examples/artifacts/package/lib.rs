//! The library, for C: cdylib, staticlib and dylib. Its unit tests are a program.

#![allow(deprecated)] // a library that says nothing is warned; here that is the point

use std::ffi::{c_char, CString};

alloc_switch::global_allocator!(static ALLOCATOR);

include!("../report.rs");

/// The report, in memory that is the caller's.
#[no_mangle]
pub extern "C" fn every_artifact_report() -> *mut c_char {
    CString::new(report()).unwrap().into_raw()
}

/// Frees a report where the host's `free` must not.
///
/// # Safety
///
/// `report` came from `every_artifact_report` and is freed once.
#[no_mangle]
pub unsafe extern "C" fn every_artifact_free(report: *mut c_char) {
    // SAFETY: `every_artifact_report` made it a C string, as the caller promises.
    drop(unsafe { CString::from_raw(report) });
}

#[test]
fn unit_test() {
    println!("{}", report());
}
