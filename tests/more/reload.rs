//! A library that is loaded, used and unloaded a thousand times leaves nothing behind. One with
//! jemalloc inside stays where it is, because jemalloc could not be taken out again.

use std::process::Command;

use crate::support::{self, cc, fixture, Built};

const ROUNDS: usize = 1000;

/// Runs the host, and returns by how many KiB it grew in the last nine tenths, in physical memory
/// and in address space, and how often the library was gone after `dlclose`.
fn reload(built: &Built, how: &str) -> (usize, usize, usize) {
    let host =
        cc("reload.c", &built.folder.join("reload"), &["-ldl".as_ref(), "-lpthread".as_ref()]);
    let library = built.file("libplugin_with_a_handle.so");
    let out = support::run(Command::new(host).arg(library).args([&ROUNDS.to_string(), how]));
    let lines: Vec<Vec<usize>> = out
        .lines()
        .map(|line| line.split(' ').filter_map(|word| word.parse().ok()).collect())
        .collect();
    let [early, late, gone] = &lines[..] else { panic!("{out}") };
    assert_eq!((early[0], late[0]), (ROUNDS / 10, ROUNDS));
    (late[1].saturating_sub(early[1]), late[2].saturating_sub(early[2]), gone[0])
}

/// 1 KiB a round would be seen.
fn nothing_grew((resident, mapped, _): (usize, usize, usize)) {
    assert!(resident < ROUNDS && mapped < ROUNDS, "in KiB: resident {resident}, mapped {mapped}");
}

#[test]
fn a_library_on_the_system_allocator_leaves_nothing_behind() {
    let built = fixture("uses-a-handle").args(["--example", "plugin_with_a_handle"]).build();
    let (resident, mapped, gone) = reload(&built, "thread");
    nothing_grew((resident, mapped, gone));
    assert_eq!(gone, ROUNDS, "it was unloaded each time");
    let answer = reload(&built, "outlive");
    nothing_grew(answer);
    assert_eq!(answer.2, ROUNDS);
    nothing_grew(reload(&built, "main"));
}

#[test]
fn a_library_on_jemalloc_stays_loaded() {
    let built = fixture("uses-a-handle")
        .args(["--example", "plugin_with_a_handle"])
        .features("jemalloc-in-libraries,writes-jemalloc")
        .build();
    for how in ["thread", "outlive", "main"] {
        let answer = reload(&built, how);
        nothing_grew(answer);
        assert_eq!(answer.2, 0, "{how}: it stays");
    }
}
