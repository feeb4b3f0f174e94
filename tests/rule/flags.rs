//! What the build script reads of rustc's flags, which people spell in several ways.

use crate::rule;

fn flags(flags: &[&str]) -> Vec<String> {
    let encoded = flags.join("\x1f");
    let found = rule::flags(&encoded);
    found.map(|(kind, name, value)| format!("{kind} {name} {value:?}")).collect()
}

#[test]
fn flags_are_options_with_their_values() {
    assert_eq!(flags(&[]), [""; 0]);
    assert_eq!(flags(&["-O", "--verbose", "-L", "folder", "main.rs"]), [""; 0]);
    for spelling in [
        &["--cfg", "alloc_switch=\"system\""][..],
        &["--cfg=alloc_switch=\"system\""],
        &["--cfg", "alloc_switch = \"system\""],
        &["-O", "--cfg", "alloc_switch=\"system\"", "-g"],
    ] {
        assert_eq!(flags(spelling), ["--cfg alloc-switch Some(\"system\")"], "{spelling:?}");
    }
    assert_eq!(flags(&["--cfg", "kani"]), ["--cfg kani None"]);
    for spelling in
        [&["-Zsanitizer=address"][..], &["-Z", "sanitizer=address"], &["-gOZsanitizer=address"]]
    {
        assert_eq!(flags(spelling), ["-Z sanitizer Some(\"address\")"], "{spelling:?}");
    }
    assert_eq!(
        flags(&["-Clinker=cc", "--codegen", "debuginfo=1", "-Zthreads=2", "--cfg"]),
        ["-C linker Some(\"cc\")", "-C debuginfo Some(\"1\")", "-Z threads Some(\"2\")"],
        "in their order, and the last is without its option"
    );
}

#[test]
fn the_last_prefer_dynamic_counts() {
    let on = |flags: &[&str]| rule::prefer_dynamic(&flags.join("\x1f"));
    for flags in [
        &["-C", "prefer-dynamic"][..],
        &["-Cprefer-dynamic"],
        &["-Cprefer-dynamic=yes"],
        &["-C", "prefer-dynamic=on"],
        &["-O", "-Cprefer-dynamic=no", "-C", "prefer-dynamic=true", "-g"],
        &["-Cprefer-dynamic", "-Copt-level=3", "--cfg", "prefer-dynamic=\"no\""],
    ] {
        assert!(on(flags), "{flags:?}");
    }
    for flags in [
        &[][..],
        &["-Cprefer-dynamic=no"],
        &["-Cprefer-dynamic=n"],
        &["-C", "prefer-dynamic=off"],
        &["-C", "prefer-dynamic=false"],
        &["-Cprefer-dynamic", "-Cprefer-dynamic=n"],
        &["--cfg", "prefer-dynamic"],
        &["-Copt-level=3", "--cfg", "alloc_switch=\"jemalloc\""],
    ] {
        assert!(!on(flags), "{flags:?}");
    }
}

#[test]
fn versions_are_compared_as_numbers() {
    use rule::numbers;

    assert_eq!(numbers("5.3.1"), [5, 3, 1]);
    assert!(numbers("5.10.0") > numbers("5.3.1") && numbers("5.3.0") < numbers("5.3.1"));
    assert!(numbers("4.99.9") < numbers("5.0.0") && numbers("10.0.0") > numbers("9.9.9"));
}
