//! The page size that jemalloc has to be told: for every triple that rustc knows, and for those of
//! other compilers.

use crate::rule::Target;
use crate::triples::{triple, triples};

/// The log2 of the size before jemalloc 5.3.1, and from then on.
fn sizes(target: &Target) -> (Option<u8>, Option<u8>) {
    (target.lg_page(true), target.lg_page(false))
}

fn of(name: &str) -> (Option<u8>, Option<u8>) {
    sizes(&triple(name).target())
}

#[test]
fn architectures_with_several_page_sizes_need_to_be_told() {
    for (name, lg_page) in [
        ("powerpc64-unknown-linux-gnu", 16),
        ("powerpc64le-unknown-linux-gnu", 16),
        ("powerpc-unknown-linux-gnu", 16),
        ("loongarch64-unknown-linux-musl", 16),
        ("armv7-unknown-linux-gnueabihf", 16),
        ("mips-unknown-linux-gnu", 16),
        ("mips64el-unknown-linux-gnuabi64", 16),
        ("sparc64-unknown-linux-gnu", 13),
        ("sparc-unknown-linux-gnu", 13),
        ("aarch64_be-unknown-linux-gnu", 16),
    ] {
        assert_eq!(of(name), (Some(lg_page), Some(lg_page)), "{name}");
    }
    for name in ["x86_64-unknown-linux-gnu", "s390x-unknown-linux-gnu", "x86_64-apple-darwin"] {
        assert_eq!(of(name), (None, None), "{name}");
    }
    // Nobody is told of a kernel's pages where there is no such kernel.
    assert_eq!(of("aarch64-pc-windows-msvc"), (None, None));
}

/// From 5.3.1 on jemalloc knows these by their triple.
#[test]
fn jemalloc_5_3_1_knows_aarch64_under_its_usual_names() {
    for (name, before) in [
        ("aarch64-unknown-linux-gnu", 16),
        ("aarch64-unknown-linux-musl", 16),
        ("aarch64-linux-android", 16),
        ("aarch64-apple-darwin", 14),
    ] {
        assert_eq!(of(name), (Some(before), None), "{name}");
    }
    assert_eq!(of("aarch64-apple-ios"), (Some(14), Some(14)), "Apple's other systems");
}

/// A distribution's compiler has another vendor, with or without its name in the triple; jemalloc's
/// configure is given the triple and takes the build host's page size, or 4 KiB.
#[test]
fn another_vendors_aarch64_has_to_be_told() {
    for base in ["aarch64-unknown-linux-gnu", "aarch64-unknown-linux-musl"] {
        let target = triple(base).target();
        for vendor in ["alpine", "chimera", "openwrt", "none"] {
            let renamed = base.replace("unknown", vendor);
            let told = (Some(16), Some(16));
            assert_eq!(sizes(&Target { vendor, ..target }), told, "{base} of {vendor}");
            assert_eq!(sizes(&Target { vendor, triple: &renamed, ..target }), told, "{renamed}");
            assert_eq!(sizes(&Target { triple: &renamed, ..target }), told, "{renamed} by text");
        }
    }
}

/// With the jemalloc that is linked by default. Of arm64e, which nobody has run, it does not know
/// the name.
#[test]
fn one_target_on_the_list_has_to_be_told() {
    let listed = triples().iter().filter(|facts| facts.target().is_listed());
    let told = listed.filter(|facts| facts.target().lg_page(false).is_some());
    assert_eq!(told.map(|facts| &*facts.triple).collect::<Vec<_>>(), ["arm64e-apple-darwin"]);
}
