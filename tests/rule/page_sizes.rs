//! The page size that jemalloc has to be told: for every triple that rustc knows, and for those of
//! other compilers.

use crate::rule::Target;
use crate::triples::{triple, triples};

/// The log2 of the size before jemalloc 5.3.1, and from then on.
fn sizes(target: &Target) -> [Option<u8>; 2] {
    [target.lg_page(true), target.lg_page(false)]
}

#[test]
fn architectures_with_several_page_sizes_need_to_be_told() {
    for (name, expected) in [
        ("powerpc-unknown-linux-gnu", [Some(16), Some(16)]),
        ("powerpc64le-unknown-linux-gnu", [Some(16), Some(16)]),
        ("loongarch64-unknown-linux-musl", [Some(16), Some(16)]),
        ("armv7-unknown-linux-gnueabihf", [Some(16), Some(16)]),
        ("mips64el-unknown-linux-gnuabi64", [Some(16), Some(16)]),
        ("sparc64-unknown-linux-gnu", [Some(13), Some(13)]),
        ("aarch64_be-unknown-linux-gnu", [Some(16), Some(16)]),
        // From 5.3.1 on jemalloc knows these by their triple.
        ("aarch64-unknown-linux-gnu", [Some(16), None]),
        ("aarch64-unknown-linux-musl", [Some(16), None]),
        ("aarch64-linux-android", [Some(16), None]),
        ("aarch64-apple-darwin", [Some(14), None]),
        ("aarch64-apple-ios", [Some(14), Some(14)]),
        ("x86_64-unknown-linux-gnu", [None, None]),
        ("s390x-unknown-linux-gnu", [None, None]),
        ("x86_64-apple-darwin", [None, None]),
        // Nobody is told of a kernel's pages where there is no such kernel.
        ("aarch64-pc-windows-msvc", [None, None]),
    ] {
        assert_eq!(sizes(&triple(name).target()), expected, "{name}");
    }
}

/// A distribution's compiler has another vendor, with or without its name in the triple; jemalloc's
/// configure is given the triple and takes the build host's page size, or 4 KiB.
#[test]
fn another_vendors_aarch64_has_to_be_told() {
    let target = triple("aarch64-unknown-linux-musl").target();
    let renamed = "aarch64-alpine-linux-musl";
    let told = [Some(16), Some(16)];
    assert_eq!(sizes(&Target { vendor: "alpine", ..target }), told, "by the vendor alone");
    assert_eq!(sizes(&Target { triple: renamed, ..target }), told, "by the name alone");
    assert_eq!(sizes(&Target { vendor: "alpine", triple: renamed, ..target }), told);
}

/// With the jemalloc that is linked by default. Of arm64e, which nobody has run, it does not know
/// the name.
#[test]
fn one_target_on_the_list_has_to_be_told() {
    let listed = triples().iter().filter(|facts| facts.target().is_listed());
    let told = listed.filter(|facts| facts.target().lg_page(false).is_some());
    assert_eq!(told.map(|facts| &*facts.triple).collect::<Vec<_>>(), ["arm64e-apple-darwin"]);
}
