//! jemalloc 5.3.0 as Debian builds it: without the prefix, and of a version that nobody knows while
//! a program compiles. Needs libjemalloc-dev.

use std::path::Path;
use std::process::Command;

use crate::support::{fixture, run};

#[test]
fn a_distributions_jemalloc_takes_the_options() {
    let library = format!("/usr/lib/{}-linux-gnu/libjemalloc.so", std::env::consts::ARCH);
    let library = Path::new(&library);
    assert!(library.exists(), "no {}: install libjemalloc-dev", library.display());
    let features = "override-malloc,asks-jemalloc";
    let built = fixture("every-program")
        .features(features)
        .args(["--bins"])
        .prebuilt_jemalloc(library)
        .build();
    let out = Command::new(built.file("says_jemalloc")).output().unwrap();
    let stdout = String::from_utf8(out.stdout).unwrap();
    let line = "jemalloc (global_allocator!(jemalloc))\nbox: jemalloc; strdup: jemalloc\n\
                narenas: Some(3)\ndirty_decay_ms: Some(77)\n";
    assert!(stdout.starts_with(line), "{stdout}");
    assert_eq!(String::from_utf8(out.stderr).unwrap(), "", "jemalloc complains of nothing");

    let mut program = Command::new(built.file("every-program"));
    let version = program.env("MALLOC_CONF", "stats_print:true").output().unwrap();
    let version = String::from_utf8(version.stderr).unwrap();
    assert!(version.contains("Version: \"5.3.0-"), "{version}");
    let needed = run(Command::new("readelf").arg("-d").arg(built.file("every-program")));
    assert!(needed.contains("libjemalloc.so.2"), "{needed}");
}
