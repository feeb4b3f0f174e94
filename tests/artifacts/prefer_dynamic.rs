//! `-C prefer-dynamic`: std is a shared library that frees the program's memory with libc's `free`,
//! so the program may not have jemalloc.

use std::process::Command;

use crate::support::{self, fixture, run};

#[test]
fn the_program_gets_the_system_allocator_and_works() {
    let archive = fixture("app").build().jemalloc();
    for flags in ["-C prefer-dynamic", "-Cprefer-dynamic=yes"] {
        let built = fixture("app").rustflags(flags).prebuilt_jemalloc(&archive).build();
        // names a thread, asks for the current directory, panics and catches it
        let out =
            run(Command::new(built.file("fixture-app"))
                .env("LD_LIBRARY_PATH", support::shared_std()));
        assert!(
            out.starts_with("system (-C prefer-dynamic)\nOk(())\n") && out.ends_with("done\n"),
            "{flags}: {out}"
        );
    }
}

#[test]
fn turned_off_it_is_no_veto() {
    let archive = fixture("app").build().jemalloc();
    let built =
        fixture("app").rustflags("-C prefer-dynamic=no").prebuilt_jemalloc(&archive).build();
    let out = built.run("fixture-app", &[]);
    assert!(out.starts_with("jemalloc (executable artifact)\nOk(())\n"), "{out}");
}
