//! A program that was built for heap profiles and not started for them, which a doctest of `Error`
//! cannot show.

#[cfg(all(alloc_switch_jemalloc, feature = "profiling"))]
use std::path::Path;

use crate::ALLOCATOR;

#[test]
#[cfg(all(alloc_switch_jemalloc, feature = "profiling"))]
fn it_takes_an_option() {
    let error = alloc_switch::Error::MissingOption("prof:true");
    for answer in [
        ALLOCATOR.start_profile(),
        ALLOCATOR.stop_profile(),
        ALLOCATOR.reset_profile(None),
        ALLOCATOR.dump_profile(Path::new("target/no.heap")),
        ALLOCATOR.dump_profile_to(&mut Vec::new()),
    ] {
        assert_eq!(answer, Err(error));
    }
    assert!(error.to_string().contains("conf = \"prof:true\""), "{error}");
    assert!(!Path::new("target/no.heap").exists());
}

#[test]
#[cfg(not(feature = "profiling"))]
fn the_error_names_what_is_missing() {
    let error = ALLOCATOR.start_profile().unwrap_err();
    let missing = if ALLOCATOR.choice().is_jemalloc() {
        "the feature `profiling`"
    } else {
        "the allocator in use cannot do this"
    };
    assert!(error.to_string().contains(missing), "{error}");
}
