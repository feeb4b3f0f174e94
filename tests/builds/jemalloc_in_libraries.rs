//! The feature `jemalloc-in-libraries`, for a library that asks for jemalloc.

use crate::hosts::{assert_clean, assert_hosts_print, in_hosts, report, PLUGIN};
use crate::support::{fixture, jemalloc};

#[test]
fn a_cdylib_with_jemalloc_in_libraries_can_be_loaded() {
    let features = "jemalloc-in-libraries,witness,writes-jemalloc";
    let built = fixture("plugin").features(features).build();
    let report = report(built.file("libfixture_plugin.so"));
    assert!(report.jemalloc.is_some_and(|j| j.prefixed));
    assert!(!report.static_tls);
    let line = format!(
        "{}; Ok(()); box: jemalloc; strdup: not jemalloc",
        jemalloc("global_allocator!(jemalloc)")
    );
    assert_hosts_print(in_hosts(&built, "libfixture_plugin.so", "plugin_free"), &line);
}

/// The feature permits and never votes: Cargo turns it on for a sibling in the same build too.
#[test]
fn a_cdylib_that_does_not_ask_keeps_the_system_allocator() {
    let built = fixture("plugin").features("jemalloc-in-libraries").build();
    assert_clean(built.file("libfixture_plugin.so"), &PLUGIN);
    let line = "system (library artifact); Ok(()); box: nobody to ask; strdup: nobody to ask";
    assert_hosts_print(in_hosts(&built, "libfixture_plugin.so", "free"), line);
}

/// With the feature that the sentence names, the same libraries compile. The way out of
/// `library_conf` is the plug-in above.
#[test]
fn the_way_out_that_is_named_is_one() {
    let library = fixture("refused").command("check").features("jemalloc-in-libraries");
    let examples = ["library_jemalloc", "library_jemalloc_named", "library_jemalloc_wrapped"];
    library.args(examples.iter().flat_map(|example| ["--example", example])).build();
}
