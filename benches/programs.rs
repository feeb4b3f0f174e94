//! What an allocator buys a whole program: `cargo bench --bench programs`.
//!
//! Builds `benches/programs` once for each allocator, runs its workloads alternated allocator by allocator, and prints
//! Markdown. Options, after `--`:
//!
//! * `--rounds N`, `--scale N`: runs of each, and how much each does (default 5 and 1);
//! * `--workloads A,B`, `--allocators A,B`: only these (`system` is always there, to compare with);
//! * `--try 'NAME=OPTIONS'`: one more row for a jemalloc that runs with these options, from the environment; repeatable;
//! * `--musl`: the same on a static musl, beside glibc. `--musl 'COMMAND'` says what stands for `cargo build` in a shell
//!   where that target is not installed; docs/figures.md has one with `-Zbuild-std`;
//! * `--write`: writes docs/figures.md (between its two marks) and the plots beside it.

#[path = "report/mod.rs"]
mod report;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use report::plots::{self, Panel, Row};
use report::{Allocator, Figures, Run};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const MUSL: &str = "x86_64-unknown-linux-musl";

/// Name, features of benches/programs, and what it is.
const ALLOCATORS: &[(&str, &str, &str)] = &[
    ("system", "", "no `#[global_allocator]`: glibc"),
    ("jemalloc", "stock", "`tikv_jemallocator::Jemalloc`, registered by hand"),
    ("alloc-switch", "switch", "`global_allocator!()`"),
    ("one-arena", "one-arena", "`global_allocator!(conf = ONE_ARENA)`"),
    ("profiling", "profiling", "`global_allocator!(conf = PROFILING)`, feature `profiling`"),
    ("benchmarking", "benchmarking", "`global_allocator!(conf = BENCHMARKING)`"),
    ("mimalloc", "mimalloc", "the crate `mimalloc`"),
    ("snmalloc", "snmalloc", "the crate `snmalloc-rs`"),
];

/// The groups of the plot, and the workload that each begins with.
const GROUPS: &[(&str, &str)] = &[
    ("Blocks:", "small"),
    ("Libraries:", "json"),
    ("Threads:", "larson-1"),
    ("A long run:", "mixed"),
    ("Growing heaps:", "heap-1"),
];

struct Options {
    rounds: usize,
    scale: usize,
    /// All that the program knows, if it is empty.
    workloads: Vec<String>,
    allocators: Vec<String>,
    tries: Vec<(String, String)>,
    musl: Option<String>,
    write: bool,
}

fn main() {
    // Cargo starts a benchmark in its package, but files are named as seen from here.
    env::set_current_dir(ROOT).unwrap();
    let Some(options) = options() else {
        println!("nothing is measured here but under `cargo bench --bench programs`");
        return;
    };
    let allocators = build(&options);
    let workloads = match &*options.workloads {
        [] => known(&allocators[0].program),
        asked => asked.to_vec(),
    };
    let runs = run(&allocators, &workloads, &options);
    let figures = Figures { allocators, workloads, runs };
    let text = format!("{}\n{}", machine(options.rounds, options.scale), tables(&figures));
    println!("{text}");
    if options.write {
        let page = Path::new(ROOT).join("docs/figures.md");
        report::write_part(&page, "cargo bench --bench programs", &text);
        for (name, svg) in plots(&figures) {
            fs::write(Path::new(ROOT).join("docs").join(name), svg).unwrap();
        }
    }
}

/// `None` where Cargo runs this as a test.
fn options() -> Option<Options> {
    let mut options = Options {
        rounds: 5,
        scale: 1,
        workloads: vec![],
        allocators: ALLOCATORS.iter().map(|(name, ..)| name.to_string()).collect(),
        tries: vec![],
        musl: None,
        write: false,
    };
    let mut bench = false;
    let mut args = env::args().skip(1).peekable();
    while let Some(arg) = args.next() {
        let mut value = || args.next_if(|v| !v.starts_with("--"));
        let list = |value: Option<String>| -> Vec<String> {
            value.unwrap_or_else(|| usage(&arg)).split(',').map(str::to_owned).collect()
        };
        match &*arg {
            "--bench" => bench = true,
            "--rounds" => {
                options.rounds = value().and_then(|v| v.parse().ok()).unwrap_or_else(|| usage(&arg))
            }
            "--scale" => {
                options.scale = value().and_then(|v| v.parse().ok()).unwrap_or_else(|| usage(&arg))
            }
            "--workloads" => options.workloads = list(value()),
            "--allocators" => {
                options.allocators = list(value());
                options.allocators.insert(0, "system".into());
            }
            "--try" => {
                let value = value().unwrap_or_else(|| usage(&arg));
                let (name, conf) = value.split_once('=').unwrap_or_else(|| usage(&arg));
                options.tries.push((name.into(), conf.into()));
            }
            "--musl" => options.musl = Some(value().unwrap_or_else(|| "cargo build".into())),
            "--write" => options.write = true,
            _ => usage(&arg),
        }
    }
    bench.then_some(options)
}

fn usage(arg: &str) -> ! {
    eprintln!("{arg}: see the head of benches/programs.rs");
    std::process::exit(2)
}

fn build(options: &Options) -> Vec<Allocator> {
    let cargo = concat!("'", env!("CARGO"), "' build");
    let mut allocators = Vec::new();
    for (name, features, what) in
        ALLOCATORS.iter().filter(|(name, ..)| options.allocators.iter().any(|a| a == name))
    {
        let program = build_one(cargo, None, name, features);
        allocators.push(Allocator {
            name: name.to_string(),
            what: what.to_string(),
            program,
            conf: None,
        });
    }
    for (name, conf) in &options.tries {
        let program = build_one(cargo, None, "jemalloc", "stock");
        let what = format!("`_RJEM_MALLOC_CONF={conf}`");
        allocators.push(Allocator { name: name.clone(), what, program, conf: Some(conf.clone()) });
    }
    match &options.musl {
        Some(command) => {
            for (name, features) in [
                ("musl", ""),
                ("musl+alloc-switch", "switch"),
                ("musl+one-arena", "one-arena"),
                ("musl+mimalloc", "mimalloc"),
            ] {
                let program = build_one(command, Some(MUSL), name, features);
                let what = format!("a static program for {MUSL}");
                allocators.push(Allocator { name: name.into(), what, program, conf: None });
            }
        }
        None => eprintln!("static musl is left out: ask for it with --musl"),
    }
    allocators
}

/// Builds the program with one allocator, and takes it away before the next build overwrites it.
fn build_one(command: &str, target: Option<&str>, name: &str, features: &str) -> PathBuf {
    eprintln!("building {name}");
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let directory = tmp.parent().unwrap(); // jemalloc may be there already
    let mut cargo = Command::new("sh");
    cargo.args(["-c", &format!("{} \"$@\"", command.replace('\n', " ")), "sh"]); // it may be typed on several lines
    cargo.args(["--quiet", "--release", "--locked", "--features", features]);
    cargo
        .args(["--manifest-path", &format!("{ROOT}/benches/programs/Cargo.toml")])
        .arg("--target-dir")
        .arg(directory);
    let mut built = directory.to_owned();
    if let Some(target) = target {
        cargo.args(["--target", target]);
        built.push(target);
    }
    assert!(cargo.status().expect("cargo runs").success(), "{cargo:?}");
    let program = tmp.join(format!("programs-{name}"));
    fs::copy(built.join("release/programs"), &program).unwrap();
    program
}

/// The workloads that a program has.
fn known(program: &Path) -> Vec<String> {
    let output = Command::new(program).output().expect("the program runs");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn run(allocators: &[Allocator], workloads: &[String], options: &Options) -> Vec<Run> {
    let mut runs = Vec::new();
    for workload in workloads {
        eprintln!("running {workload}");
        for round in 0..options.rounds {
            // Every allocator in turn, and not always the same one first.
            for i in 0..allocators.len() {
                let index = (i + round) % allocators.len();
                let allocator = &allocators[index];
                let mut command = Command::new(&allocator.program);
                command.arg(workload).arg(options.scale.to_string());
                command.env_clear(); // nobody's MALLOC_CONF, and an environment of one length
                if let Some(conf) = &allocator.conf {
                    command.env("_RJEM_MALLOC_CONF", conf);
                }
                let output = command.output().expect("the program runs");
                let stderr = String::from_utf8_lossy(&output.stderr);
                // jemalloc complains here about an option that it does not know
                assert!(output.status.success() && stderr.is_empty(), "{command:?}: {stderr}");
                let line = String::from_utf8(output.stdout).unwrap();
                let run = Run::parse(workload, index, &line);
                let before = runs.iter().find(|r: &&Run| r.workload == *workload);
                assert!(
                    before.is_none_or(|r| r.values["checksum"] == run.values["checksum"]),
                    "{command:?} did other work"
                );
                runs.push(run);
            }
        }
    }
    runs
}

/// Where and with what this was measured.
fn machine(rounds: usize, scale: usize) -> String {
    let lock = Path::new(ROOT).join("benches/programs/Cargo.lock");
    let packages = ["tikv-jemalloc-sys", "mimalloc", "snmalloc-rs"];
    format!(
        "Measured at commit {} with `cargo bench --bench programs -- --rounds {rounds} --scale \
         {scale}` on {}; {}.\n",
        report::commit(),
        report::machine(),
        packages.map(|package| report::version(&lock, package)).join(", "),
    )
}

/// Every figure, in Markdown.
fn tables(figures: &Figures) -> String {
    let all = &figures.workloads;
    let mut text = figures.describe();
    text +=
        "\n### Processor time\n\nUser and system time, as a multiple of the system allocator's: \
             the median of the ratios round by round, less is better.\n\n";
    text += &figures.ratios(all, "s", 3, "cpu");
    text += "\n### Elapsed time\n\nThe same for the clock on the wall.\n\n";
    text += &figures.ratios(all, "s", 3, "wall");
    text += "\n### Peak resident memory\n\nThe same for the most memory that was resident at any \
             time.\n\n";
    text += &figures.ratios(all, "MiB", 1, "peak");
    if all.iter().any(|w| w == "mixed") {
        text +=
            "\n### Fragmentation\n\nResident memory over the long mixed run, in MiB (medians of \
                 the runs). It is sampled 64 times; at the end 8 MiB are alive.\n\n";
        text += &figures.header("");
        for (name, metric) in
            [("peak", "peak"), ("mean of the samples", "mean"), ("at the end", "end")]
        {
            let columns = 0..figures.allocators.len();
            let cells = columns.map(|a| format!("{:.1}", figures.median("mixed", a, metric)));
            report::row(&mut text, name, cells);
        }
    }
    text
}

/// File names and their SVG.
fn plots(figures: &Figures) -> Vec<(&'static str, String)> {
    let names = ["alloc-switch", "one-arena", "mimalloc", "snmalloc"];
    let shown: Vec<_> = names.into_iter().filter_map(|n| Some((n, figures.find(n)?))).collect();
    let names: Vec<_> = shown.iter().map(|(name, _)| *name).collect();
    let row = |name: &str, value: &dyn Fn(usize, &str) -> f64| {
        let panel = |metric| shown.iter().map(|&(_, a)| value(a, metric)).collect();
        Row { name: name.into(), panels: ["cpu", "peak"].map(panel).into() }
    };
    let mut dots = Vec::new();
    for workload in &figures.workloads {
        if let Some((title, _)) = GROUPS.iter().find(|(_, first)| first == workload) {
            dots.push(Row { name: title.to_string(), panels: vec![] });
        }
        dots.push(row(workload, &|a, metric| figures.ratio(workload, a, 0, metric)));
    }
    dots.push(Row { name: "All:".into(), panels: vec![] });
    dots.push(row("geometric mean", &|a, metric| figures.mean(&figures.workloads, a, 0, metric)));
    let mut plots = vec![("programs.svg", plots::dots(&["time", "memory"], &names, &dots))];
    let mut panels = Vec::new();
    for (prefix, title, x, metric) in [
        ("larson-", "larson: elapsed time / glibc's", "threads", "wall"),
        ("heap-", "heap: processor time / glibc's", "thousand strings", "cpu"),
    ] {
        let steps: Vec<_> = figures.workloads.iter().filter(|w| w.starts_with(prefix)).collect();
        if !steps.is_empty() {
            let line = |a| steps.iter().map(|w| figures.ratio(w, a, 0, metric)).collect();
            let lines = shown.iter().map(|&(name, a)| (name, line(a))).collect();
            let steps = steps.iter().map(|w| w[prefix.len()..].to_owned()).collect();
            panels.push(Panel { title, x, steps, lines });
        }
    }
    if !panels.is_empty() {
        plots.push(("growth.svg", plots::lines(&panels)));
    }
    plots
}
