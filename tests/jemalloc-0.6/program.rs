//! The program beside tikv-jemalloc-ctl 0.6, with which it compares what it reads. Not one of the
//! presets holds an option that jemalloc 5.3.0 complains of.

use std::process::Command;

#[test]
fn a_program_has_jemalloc_5_3_0() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_jemalloc-0-6"));
    let out = program.env_remove("_RJEM_MALLOC_CONF").output().unwrap();
    let expected = "jemalloc 5.3.0 (executable artifact)\nOk(())\nnarenas 3\ndone\n";
    assert_eq!(String::from_utf8_lossy(&out.stdout), expected);
    assert_eq!(String::from_utf8_lossy(&out.stderr), "");
}
