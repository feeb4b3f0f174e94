//! A program for one preset, because options are the process's: asks jemalloc which options it
//! started with.

macro_rules! preset {
    ($preset:ident) => {
        alloc_switch::global_allocator!(
            conf = [alloc_switch::conf::$preset, "lg_tcache_nslots_mul:2"]
        );

        #[test]
        #[cfg(alloc_switch_jemalloc)]
        fn is_in_force() {
            presets::in_force(alloc_switch::conf::$preset);
            presets::in_force("lg_tcache_nslots_mul:2");
        }

        #[test]
        fn starts_silently() {
            presets::starts_silently();
        }
    };
}

#[cfg(alloc_switch_jemalloc)]
#[path = "../support/mallctl.rs"]
mod mallctl;

#[cfg(alloc_switch_jemalloc)]
use std::ffi::{c_char, CStr, CString};
use std::process::Command;

#[cfg(alloc_switch_jemalloc)]
use mallctl::read;

/// Every pair of the option string is what jemalloc has, the last flag winning, and it complained
/// about none.
#[cfg(alloc_switch_jemalloc)]
pub fn in_force(options: &str) {
    let pairs: Vec<_> = options.split(',').map(|pair| pair.split_once(':').unwrap()).collect();
    for (n, (key, value)) in pairs.iter().enumerate() {
        if pairs[n + 1..].iter().all(|(later, _)| later != key) {
            assert_eq!(&option(key, value), value, "{key}");
        }
    }
}

/// An option, as the text that would set it; `like` is such a text.
#[cfg(alloc_switch_jemalloc)]
fn option(key: &str, like: &str) -> String {
    let key = CString::new(format!("opt.{key}")).unwrap();
    if let "true" | "false" = like {
        read::<bool>(&key).expect("a bool").to_string()
    } else if like.parse::<i64>().is_ok() {
        // jemalloc refuses a value of the wrong size
        read::<u32>(&key)
            .map(|n| n.to_string())
            .or_else(|| Some(read::<isize>(&key)?.to_string()))
            .expect("a number")
    } else {
        let text = read::<*const c_char>(&key).expect("a text");
        // SAFETY: jemalloc's option values are C strings that stay.
        unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned()
    }
}

/// This program starts without a word on standard error, where jemalloc puts what it does not
/// understand.
pub fn starts_silently() {
    let out = Command::new(std::env::current_exe().unwrap()).arg("--list").output().unwrap();
    assert!(out.status.success());
    assert_eq!(String::from_utf8(out.stderr).unwrap(), "");
}
