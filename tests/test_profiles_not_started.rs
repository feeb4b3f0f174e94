//! A program that was built for heap profiles and not started for them, which a doctest of `Error` cannot show.

alloc_switch::global_allocator!(static ALLOCATOR);

#[test]
#[cfg(all(alloc_switch_jemalloc, feature = "profiling"))]
fn it_takes_an_option() {
    let error = alloc_switch::Error::Option("prof:true");
    for answer in [
        ALLOCATOR.start_profile(),
        ALLOCATOR.stop_profile(),
        ALLOCATOR.dump_profile("target/no.heap"),
    ] {
        assert_eq!(answer, Err(error));
    }
    assert!(error.to_string().contains("conf = \"prof:true\""), "{error}");
    assert!(!std::path::Path::new("target/no.heap").exists());
}

#[test]
#[cfg(not(feature = "profiling"))]
fn the_error_names_what_is_missing() {
    let error = ALLOCATOR.start_profile().unwrap_err();
    let missing = if ALLOCATOR.choice().is_jemalloc() {
        "the feature `profiling`"
    } else {
        "the system allocator"
    };
    assert!(error.to_string().contains(missing), "{error}");
}
