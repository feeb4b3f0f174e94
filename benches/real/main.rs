//! What an allocator buys programs that people run: `cargo bench --bench real`.
//!
//! Downloads published programs and libraries, puts one line into each, builds it with every
//! allocator, runs it alternated allocator by allocator on inputs made from a seed, and prints
//! Markdown. `programs.rs` says what they are, and which half of them chooses options. Beside Rust
//! it needs Debian's packages `redis-tools` and `wrk` for the servers. Options, after `--`:
//!
//! * `--parts A,B`: of `sizes` (every program at three sizes), `threads`, `servers`, `burst` (what a
//!   server gives back after one), `armed` (what profiles that are armed and not active cost, in
//!   instructions: needs valgrind), default all; or `large`, the last of the sizes;
//! * `--programs A,B`: only these; `--half chooses` or `--half reports`: only that half;
//! * `--rounds N`: runs of each (default 5);
//! * `--seconds N`: how long wrk loads a server (default 10); `--idle N`: seconds until its memory
//!   is looked at again (default 60; after a burst it is looked at four times in 120);
//! * `--try 'NAME=OPTIONS'`: one more row for jemalloc with these options; repeatable;
//! * `--build`: builds everything and measures nothing; `--built`: runs what is built already;
//! * `--from FILE`: prints an earlier run, which each run leaves in a file that it names; with
//!   several, the tables are of all their runs, in the columns of the last, and the goals are given
//!   for each of them;
//! * `--write`: writes the parts of docs/figures.md that are marked for it, the plots beside it, and
//!   the lock file of the programs.

mod inputs;
mod page;
mod programs;
#[path = "../report/mod.rs"]
mod report;
mod run;
mod sources;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::{env, fs};

use alloc_switch::conf;
use programs::Program;
use report::{Allocator, Run};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const PARTS: [&str; 5] = ["sizes", "threads", "servers", "burst", "armed"];
const SIZES: [&str; 3] = ["small", "medium", "large"];
const THREADS: [usize; 4] = [1, 2, 4, 8];

/// Name, what is compiled in, options, and what it is. The first is what the others are compared
/// with, and the second twice is the yardstick of noise.
const ALLOCATORS: &[(&str, &str, Option<&str>, &str)] = &[
    ("glibc", "glibc", None, "no `#[global_allocator]`"),
    ("alloc-switch", "alloc-switch", None, "`global_allocator!()`"),
    ("again", "alloc-switch", None, "the same file once more: what differs is noise"),
    ("mimalloc", "mimalloc", None, "the crate `mimalloc`"),
    ("give-back", "alloc-switch", Some(conf::GIVE_BACK), "with the options of `GIVE_BACK`"),
];

struct Options {
    parts: Vec<String>,
    programs: Vec<&'static Program>,
    rounds: usize,
    seconds: u64,
    idle: u64,
    tries: Vec<(String, String)>,
    build: bool,
    built: bool,
    from: Vec<PathBuf>,
    write: bool,
}

fn main() {
    // Cargo starts a benchmark in its package, but files are named as seen from here.
    env::set_current_dir(ROOT).unwrap();
    let Some(mut options) = options() else {
        println!("nothing is measured here but under `cargo bench --bench real`");
        return;
    };
    if options.from.is_empty() {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("real");
        if !options.built {
            sources::unpack(&directory);
        }
        let paths = if options.built { sources::built } else { sources::build };
        let builds: Vec<_> =
            options.programs.iter().map(|program| paths(&directory, program)).collect();
        if options.build {
            return;
        }
        options.from.push(measure(&options, &directory, &builds));
        if options.write {
            sources::keep_lock(&directory);
        }
    }
    let texts = options.from.iter().map(|file| fs::read_to_string(file).expect("it is there"));
    let sessions: Vec<_> = texts.map(|text| page::Session::load(&text)).collect();
    let all = page::Session::pooled(&sessions);
    for (name, text) in all.parts(&sessions) {
        println!("{text}");
        if options.write {
            let name = format!("cargo bench --bench real ({name})");
            report::write_part(&Path::new(ROOT).join("docs/figures.md"), &name, &text);
        }
    }
    if options.write {
        for (name, svg) in all.plots(page::Session::whole(&sessions)) {
            fs::write(Path::new(ROOT).join("docs").join(name), svg).unwrap();
        }
    }
}

/// `None` where Cargo runs this as a test.
fn options() -> Option<Options> {
    let mut options = Options {
        parts: PARTS.map(str::to_owned).to_vec(),
        programs: programs::ALL.iter().collect(),
        rounds: 5,
        seconds: 10,
        idle: 60,
        tries: vec![],
        build: false,
        built: false,
        from: vec![],
        write: false,
    };
    let mut bench = false;
    let mut args = env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().unwrap_or_else(|| usage(&arg));
        let number = |value: String| value.parse().unwrap_or_else(|_| usage(&arg));
        match &*arg {
            "--bench" => bench = true,
            "--parts" => options.parts = value().split(',').map(str::to_owned).collect(),
            "--programs" => {
                let names = value();
                options.programs.retain(|p| names.split(',').any(|name| name == p.name));
            }
            "--half" => {
                let chooses = value() == "chooses";
                options.programs.retain(|p| programs::chooses(p.name) == chooses);
            }
            "--rounds" => options.rounds = number(value()) as usize,
            "--seconds" => options.seconds = number(value()),
            "--idle" => options.idle = number(value()),
            "--try" => {
                let value = value();
                let (name, conf) = value.split_once('=').unwrap_or_else(|| usage(&arg));
                options.tries.push((name.into(), conf.into()));
            }
            "--build" => options.build = true,
            "--built" => options.built = true,
            "--from" => options.from.push(value().into()),
            "--write" => options.write = true,
            _ => usage(&arg),
        }
    }
    bench.then_some(options)
}

fn usage(arg: &str) -> ! {
    eprintln!("{arg}: see the head of benches/real/main.rs");
    std::process::exit(2)
}

/// Runs everything that was asked for, and gives the file with the figures.
fn measure(
    options: &Options,
    directory: &Path,
    builds: &[[PathBuf; sources::BUILDS.len()]],
) -> PathBuf {
    let mut allocators: Vec<Allocator> = Vec::new();
    let tries = options.tries.iter().map(|(name, conf)| {
        (name.as_str(), "alloc-switch", Some(conf.as_str()), "with options that are tried")
    });
    for (name, build, conf, what) in ALLOCATORS.iter().copied().chain(tries) {
        let what = conf.map_or(what.into(), |conf| format!("{what}: `{conf}`"));
        let conf = conf.map(str::to_owned);
        allocators.push(Allocator { name: name.into(), what, program: build.into(), conf });
    }
    let work = Work { options, directory, allocators: &allocators };
    let machine = format!(
        "Measured at commit {} with `cargo bench --bench real` (--rounds {}) on {}; {}, {}.\n",
        sources::commit(directory),
        options.rounds,
        report::machine(),
        report::version(&directory.join("Cargo.lock"), "tikv-jemalloc-sys"),
        report::version(&directory.join("Cargo.lock"), "mimalloc"),
    );
    let path = directory.join(format!("target/runs-{}.tsv", std::process::id()));
    eprintln!("the figures are kept in {}", path.display());
    let mut file = fs::File::create(&path).unwrap();
    let mut keep = |text: String| file.write_all(text.as_bytes()).unwrap();
    keep(page::head(machine.trim_end(), &allocators));
    for (program, builds) in options.programs.iter().zip(builds) {
        if !program.is_server() {
            keep(page::lines(&work.program(program, builds)));
            continue;
        }
        let (name, seconds) = (program.name, options.seconds);
        if let (true, Some(client)) = (options.asks_for("servers"), program.client) {
            let (looks, command) = (vec![options.idle], program.command);
            let load = run::Load { command, client, seconds, looks, warm_up: None };
            let workload = format!("servers/{name}");
            keep(page::lines(&work.server(&workload, builds, &work.input(program, 0), &load)));
        }
        let burst = programs::BURSTS.iter().find(|burst| burst.server == name);
        if let (true, Some(burst)) = (options.asks_for("burst"), burst) {
            let load = run::Load {
                command: burst.command,
                client: burst.client,
                seconds,
                looks: programs::LOOKS.to_vec(),
                warm_up: Some(burst.warm_up),
            };
            let (workload, input) = (format!("burst/{name}"), inputs(directory));
            let input = (burst.input)(&input, burst.size);
            keep(page::lines(&work.server(&workload, builds, &input, &load)));
        }
    }
    if options.asks_for("armed") {
        for program in options.programs.iter().filter(|program| !program.is_server()) {
            keep(page::lines(&[work.armed(program)]));
        }
    }
    path
}

impl Options {
    fn asks_for(&self, part: &str) -> bool {
        self.parts.iter().any(|p| p == part)
    }
}

struct Work<'a> {
    options: &'a Options,
    directory: &'a Path,
    allocators: &'a [Allocator],
}

impl Work<'_> {
    fn input(&self, program: &Program, size: usize) -> PathBuf {
        (program.input)(&inputs(self.directory), program.sizes[size])
    }

    /// A program at each size, and at the middle one with each number of threads.
    fn program(&self, program: &Program, builds: &[PathBuf]) -> Vec<Run> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut settings: Vec<(String, usize, usize)> = Vec::new();
        let sizes = match self.options.asks_for("sizes") {
            true => 0..SIZES.len(),
            false if self.options.asks_for("large") => SIZES.len() - 1..SIZES.len(),
            false => 0..0,
        };
        settings.extend(sizes.map(|size| (SIZES[size].to_owned(), size, cores)));
        if self.options.asks_for("threads") && program.takes_threads() {
            settings.extend(THREADS.map(|threads| (format!("threads-{threads}"), 1, threads)));
        }
        let mut runs = Vec::new();
        for (setting, size, threads) in settings {
            let workload = format!("{setting}/{}", program.name);
            eprintln!("running {workload}");
            let input = self.input(program, size);
            let out = self.directory.join("target/out");
            let written = out.with_extension("d");
            let filled = [
                ("input", input.display().to_string()),
                ("out", written.display().to_string()),
                ("threads", threads.to_string()),
            ];
            let mut printed = None;
            runs.extend(run::rounds(self.options.rounds, self.allocators, |index, allocator| {
                let file = &builds[build_of(allocator)];
                let mut command = run::command(file, program.command, &filled);
                let (used, bytes) =
                    run::program(&mut command, allocator.conf.as_deref(), &out, &[0]);
                assert!(*printed.get_or_insert(bytes) == bytes, "{command:?} did other work");
                Some(Run::of(&workload, index, used))
            }));
        }
        runs
    }

    /// Instructions of one file with profiles off and armed: the smallest size, one thread.
    fn armed(&self, program: &Program) -> Run {
        let file = sources::build_profiling(self.directory, program);
        let workload = format!("armed/{}", program.name);
        eprintln!("running {workload}");
        let out = self.directory.join("target/out");
        let filled = [
            ("input", self.input(program, 0).display().to_string()),
            ("out", out.with_extension("d").display().to_string()),
            ("threads", "1".to_owned()),
        ];
        let [off, armed] = [Some("prof:false"), None].map(|conf| {
            let mut command = run::command(&file, program.command, &filled);
            run::instructions(&mut command, conf, &out)
        });
        Run::parse(&workload, 1, &format!("user=0 sys=0 off={off} armed={armed}"))
    }

    /// A server under its load. While one idles, the next is loaded.
    fn server(
        &self,
        workload: &str,
        builds: &[PathBuf],
        input: &Path,
        load: &run::Load,
    ) -> Vec<Run> {
        eprintln!("running {workload}");
        let mut port = 21_000;
        let mut idling: Vec<(usize, JoinHandle<String>)> = Vec::new();
        run::rounds(self.options.rounds, self.allocators, |index, allocator| {
            port += 1;
            let filled = [("input", input.display().to_string()), ("port", port.to_string())];
            let command = run::command(&builds[build_of(allocator)], load.command, &filled);
            let conf = allocator.conf.as_deref();
            idling.push((index, run::server(command, conf, port, input, load)));
            None
        });
        let lines = idling.into_iter().map(|(index, thread)| (index, thread.join().unwrap()));
        lines.map(|(index, line)| Run::parse(workload, index, &line)).collect()
    }
}

fn inputs(directory: &Path) -> PathBuf {
    let inputs = directory.join("target/inputs");
    fs::create_dir_all(&inputs).unwrap();
    inputs
}

fn build_of(allocator: &Allocator) -> usize {
    sources::BUILDS.iter().position(|build| Path::new(build) == allocator.program).unwrap()
}
