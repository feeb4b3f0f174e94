//! What the crate adds to a build: `cargo bench --bench build_cost`.
//!
//! Builds the program of tests/fixtures/zero-cost from nothing with `tikv-jemallocator` registered by hand, then what the
//! macro needs on top. Processor time, because that does not depend on what else the machine does.

use std::path::Path;
use std::process::Command;

const RUNS: usize = 5;

fn main() {
    if !std::env::args().any(|arg| arg == "--bench") {
        println!("nothing is measured here but under `cargo bench --bench build_cost`");
        return;
    }
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("build-cost");
    let _ = std::fs::remove_dir_all(&directory);
    let all = seconds(&directory, "build", &["--features", "by-hand"]);
    let again = |packages: &[&str], features: &str| {
        let mut runs: Vec<f64> = (0..RUNS)
            .map(|_| {
                let packages: Vec<&str> = packages.iter().flat_map(|p| ["--package", p]).collect();
                seconds(&directory, "clean", &packages);
                seconds(&directory, "build", &["--features", features])
            })
            .collect();
        runs.sort_by(f64::total_cmp);
        runs[RUNS / 2]
    };
    let program = again(&["fixture-zero-cost"], "by-hand");
    let with_switch = again(&["fixture-zero-cost", "alloc-switch", "cfg-if"], "macro");
    println!(
        "a program with tikv-jemallocator by hand, from nothing: {all:.1} s of processor time"
    );
    println!("of which the program itself: {program:.2} s (median of {RUNS})");
    println!("the program with alloc-switch, jemalloc being there: {with_switch:.2} s (median of {RUNS})");
    println!(
        "alloc-switch with its build script and cfg-if: {:.2} s, {:.1} % on top",
        with_switch - program,
        100.0 * (with_switch - program) / all
    );
}

/// User and system time of one call of Cargo and all that it starts, as the shell counts it.
fn seconds(directory: &Path, command: &str, args: &[&str]) -> f64 {
    let fixture: &[&str] = match command {
        "build" => &["--package", "fixture-zero-cost", "--bin", "zero_cost"],
        _ => &[],
    };
    let output = Command::new("sh")
        .args(["-c", r#""$0" "$@" && times"#, env!("CARGO"), command, "--release", "--quiet"])
        .args(fixture)
        .args(args)
        .arg("--target-dir")
        .arg(directory)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("JEMALLOC_OVERRIDE")
        .output()
        .expect("there is a sh");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // two lines of `0m0.00s 0m0.00s`; the second is for the children
    let times = String::from_utf8(output.stdout).unwrap();
    let times = times.lines().nth(1).expect("`times` prints two lines").split_whitespace();
    times
        .map(|time| {
            let (minutes, seconds) = time.trim_end_matches('s').split_once('m').expect("0m0.00s");
            minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
        })
        .sum()
}
