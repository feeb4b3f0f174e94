//! What jemalloc and this crate cost a build: `cargo bench --bench build_cost`.
//!
//! Builds the program of tests/fixtures/zero-cost with `tikv-jemallocator` registered by hand, from
//! nothing: as anybody does, and with the lines of this workspace's `.cargo/config.toml`,
//! alternated, and compares the programs. Then what the macro needs on top. Processor time, because
//! that depends least on what else the machine does. `--write`, after `--`, writes the marked part
//! of docs/figures.md; `--rounds N` says how often (default 3).

#[path = "report/mod.rs"]
mod report;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use object::{Object, ObjectSection};
use report::measure::{self, Used};
use report::median;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let given = |name: &str| arguments.iter().position(|argument| argument == name);
    if given("--bench").is_none() {
        println!("nothing is measured here but under `cargo bench --bench build_cost`");
        return;
    }
    let rounds = given("--rounds").map_or(3, |at| arguments[at + 1].parse().expect("a number"));
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // Cargo looks for its configuration from where it is started.
    let (stock, lines) = (env::temp_dir(), PathBuf::from(ROOT));
    let directories = [tmp.join("build-cost-stock"), tmp.join("build-cost-lines")];
    let mut whole: [Vec<Used>; 2] = Default::default();
    for round in 0..rounds {
        for i in [round % 2, (round + 1) % 2] {
            let _ = fs::remove_dir_all(&directories[i]);
            let from = [&stock, &lines][i];
            whole[i].push(cargo(from, &directories[i], "build", &["--features", "by-hand"]));
        }
    }
    let texts = directories.each_ref().map(|directory| text(&directory.join("release/zero_cost")));
    assert!(texts[0] == texts[1], "the lines in .cargo/config.toml changed the program");

    let again = |packages: &[&str], features: &str| {
        let packages: Vec<&str> = packages.iter().flat_map(|p| ["--package", p]).collect();
        median((0..5).map(|_| {
            cargo(&lines, &directories[1], "clean", &packages);
            let used = cargo(&lines, &directories[1], "build", &["--features", features]);
            used.user + used.sys
        }))
    };
    let program = again(&["zero-cost"], "by-hand");
    let with_switch = again(&["zero-cost", "alloc-switch", "cfg-if"], "macro");

    let middle = |runs: &[Used], of: fn(&Used) -> f64| median(runs.iter().map(of));
    let cpu: fn(&Used) -> f64 = |used| used.user + used.sys;
    let ratios = whole[1].iter().zip(&whole[0]).map(|(lines, stock)| cpu(lines) / cpu(stock));
    let mut ratios: Vec<f64> = ratios.collect();
    ratios.sort_by(f64::total_cmp);
    let mut page = format!("On {}, {rounds} times each:\n\n", report::machine());
    page += "| a program with jemalloc, from nothing | processor time | elapsed |\n|---|--:|--:|\n";
    for (name, runs) in ["as it is", "with the three lines"].iter().zip(&whole) {
        let (cpu, wall) = (middle(runs, cpu), middle(runs, |used| used.wall));
        writeln!(page, "| {name} | {cpu:.1} s | {wall:.1} s |").unwrap();
    }
    let (lowest, highest) = (ratios[0], ratios[ratios.len() - 1]);
    let ratio = format!("**{:.2}** ({lowest:.2} to {highest:.2})", median(ratios));
    writeln!(page, "| ratio, round by round | {ratio} | |\n").unwrap();
    writeln!(page, "The `.text` of both programs is the same, {} bytes.\n", texts[0].len())
        .unwrap();
    let extra = with_switch - program;
    writeln!(
        page,
        "Of that the program itself takes {program:.2} s. `alloc-switch` with its build script and \
         `cfg-if` adds {extra:.2} s: {:.1} % of the whole build as it is.",
        100.0 * extra / middle(&whole[0], cpu)
    )
    .unwrap();
    println!("{page}");
    if given("--write").is_some() {
        let file = Path::new(ROOT).join("docs/figures.md");
        report::write_part(&file, "cargo bench --bench build_cost", &page);
    }
}

/// One call of Cargo and all that it starts.
fn cargo(from: &Path, directory: &Path, command: &str, arguments: &[&str]) -> Used {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([command, "--release", "--quiet"]);
    cargo.args(["--manifest-path", &format!("{ROOT}/Cargo.toml")]);
    if command == "build" {
        cargo.args(["--package", "zero-cost", "--bin", "zero_cost"]);
    }
    cargo.args(arguments).arg("--target-dir").arg(directory).current_dir(from);
    for variable in ["JEMALLOC_OVERRIDE", "MAKEFLAGS", "EXTRA_CFLAGS"] {
        cargo.env_remove(variable); // Cargo sets what its configuration says
    }
    let (status, used) = measure::run(&mut cargo);
    assert!(status.success(), "{cargo:?}");
    used
}

/// The machine code of a program.
fn text(program: &Path) -> Vec<u8> {
    let file = fs::read(program).unwrap();
    let object = object::File::parse(&*file).unwrap();
    object.section_by_name(".text").expect("a program has code").data().unwrap().to_vec()
}
