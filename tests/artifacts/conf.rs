//! Options that are written in the program are in force when it runs.

use std::process::Command;

use crate::support::fixture;

/// The unprefixed name is in `tests/builds`, and so is link-time optimisation.
#[test]
fn an_option_is_read_back_at_run_time() {
    let built = fixture("app").features("witness").build();
    assert!(built.run("fixture-app", &[]).contains("narenas: Some(3)\n"));
    // several strings are joined, and the last flag wins
    let joined = fixture("app").features("witness,writes-jemalloc").build();
    assert!(joined.run("fixture-app", &[]).contains("narenas: Some(3)\n"));

    // the environment beats the program
    let out = Command::new(built.file("fixture-app"))
        .env("_RJEM_MALLOC_CONF", "narenas:5")
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&out.stdout).contains("narenas: Some(5)\n"));
    assert_eq!(String::from_utf8_lossy(&out.stderr), "");
}
