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

use report::{Allocator, Figures, Run};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const MUSL: &str = "x86_64-unknown-linux-musl";

/// Name, features of benches/programs, and what it is.
const ALLOCATORS: &[(&str, &str, &str)] = &[
    ("system", "", "no `#[global_allocator]`: glibc"),
    ("jemalloc", "stock", "`tikv_jemallocator::Jemalloc`, registered by hand"),
    ("alloc-switch", "switch", "`global_allocator!()`"),
    ("low-memory", "low-memory", "`global_allocator!(conf = LOW_MEMORY)`"),
    ("throughput", "throughput", "`global_allocator!(conf = THROUGHPUT)`"),
    ("profiling", "profiling", "`global_allocator!(conf = PROFILING)`, feature `profiling`"),
    ("benchmarking", "benchmarking", "`global_allocator!(conf = BENCHMARKING)`"),
    ("mimalloc", "mimalloc", "the crate `mimalloc`"),
    ("snmalloc", "snmalloc", "the crate `snmalloc-rs`"),
];

const WORKLOADS: &[&str] = &[
    "small",
    "medium",
    "large",
    "aligned",
    "zeroed",
    "doubling",
    "in-place",
    "json",
    "hash-map",
    "btree-map",
    "syn",
    "log",
    "larson-1",
    "larson-2",
    "larson-4",
    "larson-8",
    "channel",
    "spawn",
    "mixed",
    "heap-1",
    "heap-8",
    "heap-64",
    "heap-512",
];

struct Options {
    rounds: usize,
    scale: usize,
    workloads: Vec<String>,
    allocators: Vec<String>,
    tries: Vec<(String, String)>,
    musl: Option<String>,
    write: bool,
}

fn main() {
    let Some(options) = options() else {
        println!("nothing is measured here but under `cargo bench --bench programs`");
        return;
    };
    let allocators = build(&options);
    let runs = run(&allocators, &options);
    let figures = Figures { allocators, workloads: options.workloads, runs };
    let text = format!("{}\n{}", machine(options.rounds, options.scale), figures.markdown());
    println!("{text}");
    if options.write {
        let page = Path::new(ROOT).join("docs/figures.md");
        let (begin, end) = ("<!-- begin: cargo bench --bench programs -->\n", "<!-- end -->");
        let old = fs::read_to_string(&page).expect("docs/figures.md is there to be filled in");
        let (before, rest) = old.split_once(begin).expect("docs/figures.md has the first mark");
        let (_, after) = rest.split_once(end).expect("docs/figures.md has the second mark");
        fs::write(page, format!("{before}{begin}{text}{end}{after}")).unwrap();
        for (name, svg) in figures.plots() {
            fs::write(Path::new(ROOT).join("docs").join(name), svg).unwrap();
        }
    }
}

/// `None` where Cargo runs this as a test.
fn options() -> Option<Options> {
    let mut options = Options {
        rounds: 5,
        scale: 1,
        workloads: WORKLOADS.iter().map(|w| w.to_string()).collect(),
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
                ("musl+low-memory", "low-memory"),
                ("musl+throughput", "throughput"),
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

fn run(allocators: &[Allocator], options: &Options) -> Vec<Run> {
    let mut runs = Vec::new();
    for workload in &options.workloads {
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
                    before.map_or(true, |r| r.checksum == run.checksum),
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
    let first = |file: &str, field: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|l| l.starts_with(field)).unwrap_or_default().to_owned();
        line.split_once(':').map_or(line.clone(), |(_, value)| value.trim().to_owned())
    };
    let says = |program: &str, args: &[&str]| {
        let output = Command::new(program)
            .args(args)
            .current_dir(ROOT)
            .output()
            .map(|o| o.stdout)
            .unwrap_or_default();
        String::from_utf8_lossy(&output).lines().next().unwrap_or("unknown").to_owned()
    };
    let lock = fs::read_to_string(Path::new(ROOT).join("benches/programs/Cargo.lock"))
        .expect("it is committed");
    let version = |package: &str| {
        let at = lock.find(&format!("name = \"{package}\"\n")).expect("a dependency");
        format!("{package} {}", lock[at..].split('"').nth(3).unwrap())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "Measured at commit {} with `cargo bench --bench programs -- --rounds {rounds} --scale {scale}` on {} ({cores} \
         processors, {} of memory), Linux {}, transparent huge pages {}; {}, {}; {}, {}, {}.\n",
        says("git", &["rev-parse", "--short", "HEAD"]),
        first("/proc/cpuinfo", "model name"),
        first("/proc/meminfo", "MemTotal"),
        first("/proc/sys/kernel/osrelease", ""),
        first("/sys/kernel/mm/transparent_hugepage/enabled", ""),
        says("rustc", &["--version"]),
        says("ldd", &["--version"]),
        version("tikv-jemalloc-sys"),
        version("mimalloc"),
        version("snmalloc-rs"),
    )
}
