//! Prints which memory allocator finished files carry.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{mpsc, Mutex};
use std::time::{Duration, Instant};

use alloc_inspect::{inspect_path, printable, Allocator, Error, Name, Report};
use clap::builder::PossibleValue;
use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use walkdir::WalkDir;

/// Tells which memory allocator a finished program, library or archive carries.
///
/// Prints a line for each file, and below it, indented, what whoever ships the file should know.
#[derive(Parser)]
#[command(version, max_term_width = 100, after_long_help = AFTER)]
struct Arguments {
    /// A file, or a folder, in which every program, library, object and archive is looked for
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Fail unless every file has this allocator
    #[arg(long, value_name = "NAME", ignore_case = true)]
    expect: Option<Expect>,

    /// Fail unless every shared library can be loaded with dlopen
    #[arg(long)]
    loadable: bool,

    /// Print a JSON object for each file, one a line
    #[arg(long)]
    json: bool,

    /// Print the evidence too, and how jemalloc was built
    #[arg(short, long, conflicts_with = "json")]
    verbose: bool,
}

const AFTER: &str = "\
Exit status:
  0  every file was read, and is what --expect and --loadable ask for
  1  a file could not be read or judged, or is not that; or a folder has no binary in it
  2  the arguments are wrong
  3  the results could not be written: whoever read them has gone, or the disk is full

Of a folder, symbolic links, other file systems, devices and the like are left out, and so are files \
that neither a loader nor a linker takes: texts, pictures, debug information, core dumps. How many \
that were is said on standard error. A link or a file that is named itself is looked at.

\"system\" means that none of the known allocators is inside and that malloc is imported, or is the C \
library's own; what is neither is \"unknown\". Only the file itself is read: what the libraries that \
it needs bring with them is theirs, and LD_PRELOAD may change everything. What a packer such as UPX \
has compressed is not seen, and a program that another one holds as data counts as its own.";

/// What `--expect` takes.
#[derive(Clone, Copy, PartialEq)]
enum Expect {
    Known(Allocator),
    System,
    Unknown,
}

impl ValueEnum for Expect {
    fn value_variants<'a>() -> &'a [Self] {
        use Allocator::*;
        &[
            Self::Known(Jemalloc),
            Self::Known(Mimalloc),
            Self::Known(Snmalloc),
            Self::Known(Tcmalloc),
            Self::Known(Rpmalloc),
            Self::Known(HardenedMalloc),
            Self::Known(Scudo),
            Self::Known(Mallocng),
            Self::Known(Glibc),
            Self::Known(Dlmalloc),
            Self::System,
            Self::Unknown,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Known(allocator) => allocator.name(),
            Self::System => "system",
            Self::Unknown => "unknown",
        }))
    }
}

impl Expect {
    fn is_met(self, report: &Report) -> bool {
        match self {
            Self::Known(wanted) => report.allocators.iter().any(|c| c.allocator == wanted),
            Self::System => report.is_system(),
            Self::Unknown => report.unknown().is_some(),
        }
    }

    fn said(self) -> &'static str {
        match self {
            Self::Known(allocator) => allocator.name(),
            Self::System => "the system allocator",
            Self::Unknown => "an unknown one",
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            let why = match error.kind() {
                io::ErrorKind::BrokenPipe => "whoever read the results has gone".to_owned(),
                _ => error.to_string(),
            };
            complain(&format!("alloc-inspect: not everything was printed: {why}"));
            ExitCode::from(3)
        }
    }
}

impl Arguments {
    /// What is asked for and not so, to follow what the file is.
    fn unmet(&self, report: &Report) -> Option<String> {
        if let Some(expect) = self.expect.filter(|expect| !expect.is_met(report)) {
            return Some(format!(", but {} was expected", expect.said()));
        }
        let refused = self.loadable && report.can_be_dlopened() == Some(false);
        refused.then(|| ", but a loadable library was expected".to_owned())
    }
}

/// What became of one file.
struct Outcome {
    out: String,
    err: String,
    good: bool,
}

/// What is not looked at in a folder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum LeftOut {
    Link,
    FileSystem,
    NoFile,
    NothingToJudge,
    Other,
}

/// How many of each.
type Counts = BTreeMap<LeftOut, usize>;

fn left_out(counts: &Counts) -> String {
    let said = |(what, count): (&LeftOut, &usize)| {
        let what = match what {
            LeftOut::Link => "symbolic links",
            LeftOut::FileSystem => "folders of other file systems",
            LeftOut::NoFile => "devices, pipes and sockets",
            LeftOut::NothingToJudge => "debug information and the like",
            LeftOut::Other => "other files",
        };
        format!("{what}: {count}")
    };
    counts.iter().map(said).collect::<Vec<_>>().join(", ")
}

/// A file to look at, and whether its own name was given.
struct Task {
    path: PathBuf,
    named: bool,
}

fn run(arguments: &Arguments) -> io::Result<bool> {
    let mut good = true;
    let progress = Progress::new();
    let mut tasks = Vec::new();
    let mut folders = Vec::new();
    for path in &arguments.paths {
        if fs::metadata(path).is_ok_and(|meta| meta.is_dir()) {
            let (before, mut counts) = (tasks.len(), Counts::new());
            good &= walk(path, &mut tasks, &mut counts, &progress);
            folders.push((path, before..tasks.len(), counts));
        } else {
            tasks.push(Task { path: path.clone(), named: true });
        }
    }
    progress.start(tasks.len());

    let (sender, receiver) = mpsc::channel();
    let (gone, started) = (AtomicBool::new(false), AtomicUsize::new(0));
    // Of large files, one at a time is in memory.
    let large = Mutex::new(());
    let mut passed = vec![None; tasks.len()];
    let result = std::thread::scope(|scope| {
        let (gone, tasks, large, started) = (&gone, &tasks, &large, &started);
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            let sender = sender.clone();
            scope.spawn(move || {
                while !gone.load(Ordering::Relaxed) {
                    let at = started.fetch_add(1, Ordering::Relaxed);
                    let Some(task) = tasks.get(at) else { break };
                    let _ = sender.send((at, look(task, arguments, large)));
                }
            });
        }
        drop(sender);
        // In the order of the paths, whichever is done first.
        let mut waiting = BTreeMap::new();
        let mut next = 0;
        for (at, outcome) in receiver {
            progress.step();
            waiting.insert(at, outcome);
            while let Some(outcome) = waiting.remove(&next) {
                match outcome {
                    Err(what) => passed[next] = Some(what),
                    Ok(outcome) => {
                        good &= outcome.good;
                        let written = progress.print(&outcome);
                        if written.is_err() {
                            gone.store(true, Ordering::Relaxed);
                            return written;
                        }
                    }
                }
                next += 1;
            }
        }
        Ok(())
    });
    progress.finish();
    result?;
    for (folder, range, mut counts) in folders {
        let passed = &passed[range];
        for what in passed.iter().flatten() {
            *counts.entry(*what).or_default() += 1;
        }
        if !counts.is_empty() {
            complain(&format!("{}: left out: {}", shown(folder), left_out(&counts)));
        }
        // Silence would pass for success.
        if passed.iter().all(Option::is_some) {
            good = false;
            complain(&format!(
                "{}: a folder without a program, library, object or archive",
                shown(folder)
            ));
        }
    }
    Ok(good)
}

/// Collects the files below a folder, those of other file systems (`/proc`) and symbolic links left
/// out.
fn walk(folder: &Path, tasks: &mut Vec<Task>, counts: &mut Counts, progress: &Progress) -> bool {
    let mut good = true;
    let own_device = device(fs::metadata(folder));
    let walk = WalkDir::new(folder).same_file_system(true).sort_by_file_name();
    for entry in walk {
        match entry {
            Ok(entry) if entry.file_type().is_file() => {
                tasks.push(Task { path: entry.into_path(), named: false });
            }
            Ok(entry) if entry.file_type().is_dir() => {
                if device(entry.metadata().map_err(io::Error::from)) != own_device {
                    *counts.entry(LeftOut::FileSystem).or_default() += 1;
                }
            }
            Ok(entry) => {
                let is_link = entry.file_type().is_symlink();
                let what = if is_link { LeftOut::Link } else { LeftOut::NoFile };
                *counts.entry(what).or_default() += 1;
            }
            Err(error) => {
                good = false;
                let path = error.path().unwrap_or(folder);
                let why = match error.io_error() {
                    Some(io) if io.kind() == io::ErrorKind::PermissionDenied => {
                        "no permission to read this folder".to_owned()
                    }
                    Some(io) => io.to_string(),
                    None => error.to_string(),
                };
                progress.complain(&format!("{}: {}", shown(path), printable(&why)));
            }
        }
    }
    good
}

/// The file system that it is on, where that has a number.
fn device(meta: io::Result<fs::Metadata>) -> Option<u64> {
    #[cfg(unix)]
    return meta.ok().map(|meta| std::os::unix::fs::MetadataExt::dev(&meta));
    #[cfg(not(unix))]
    meta.ok().and(None)
}

fn look(task: &Task, arguments: &Arguments, large: &Mutex<()>) -> Result<Outcome, LeftOut> {
    const LARGE: u64 = 256 << 20;
    let size = fs::metadata(&task.path).map_or(0, |meta| meta.len());
    let _alone = (size > LARGE).then(|| large.lock());
    let mut outcome = Outcome { out: String::new(), err: String::new(), good: true };
    let path = shown(&task.path);
    match inspect_path(&task.path) {
        Err(Error::NotBinary) if !task.named => return Err(LeftOut::Other),
        Err(Error::NothingToJudge(_)) if !task.named => return Err(LeftOut::NothingToJudge),
        Err(error) => {
            outcome.good = false;
            outcome.err = format!("{path}: {error}\n");
            if arguments.json {
                let line = JsonError { path: name(&task.path), error: error.to_string() };
                outcome.out = json(&line);
            }
        }
        Ok(reports) => {
            for report in &reports {
                let unmet = arguments.unmet(report);
                outcome.good &= unmet.is_none();
                outcome.out += &if arguments.json {
                    let asked = arguments.expect.is_some() || arguments.loadable;
                    let expected = asked.then_some(unmet.is_none());
                    json(&JsonReport {
                        path: name(&task.path),
                        verdict: verdict(report),
                        expected,
                        can_be_dlopened: report.can_be_dlopened(),
                        report,
                    })
                } else {
                    // An architecture is said where a file has several.
                    let slice = match reports.len() {
                        1 => String::new(),
                        _ => format!(" ({})", report.architecture),
                    };
                    let unmet = unmet.unwrap_or_default();
                    lines(&format!("{path}{slice}"), report, &unmet, arguments.verbose)
                };
            }
        }
    }
    Ok(outcome)
}

/// The line for a file, and what stands below it.
fn lines(path: &str, report: &Report, unmet: &str, verbose: bool) -> String {
    let mut text = format!("{path}: {report}{unmet}\n");
    let mut below = |line: &str| text += &format!("    {line}\n");
    for decision in &report.decisions {
        below(&format!("alloc-switch decided: {}", decision.text));
    }
    if let Some(jemalloc) = &report.jemalloc {
        if let Some(options) = &jemalloc.options {
            below(&format!("options: {options} (in {})", jemalloc.options_symbol));
        }
    }
    for advice in &report.advice {
        below(&format!("note: {advice}"));
    }
    if !verbose {
        return text;
    }
    below(&format!("architecture: {}", report.architecture));
    for carried in &report.allocators {
        let sure = match carried.sureness {
            alloc_inspect::Sureness::Certain => "certain",
            _ => "likely",
        };
        below(&format!("{}: {sure}, by {}", carried.allocator.name(), carried.evidence));
    }
    if report.allocators.is_empty() && report.is_system() {
        below("system: likely, by the import of malloc; no known allocator is inside");
    }
    if let Some(jemalloc) = &report.jemalloc {
        let told = |what: &str, answer: Option<bool>| match answer {
            Some(true) => format!("{what}: yes"),
            Some(false) => format!("{what}: no"),
            None => format!("{what}: cannot be told"),
        };
        below(&told("jemalloc's heap profiles", jemalloc.profiling));
        below(&told("jemalloc's statistics", jemalloc.statistics));
        below(&told("jemalloc's assertions", Some(jemalloc.debug)));
        below(&format!("jemalloc's environment variable: {}", jemalloc.variable));
        if let Some(options) = &jemalloc.built_in_options {
            below(&format!("jemalloc's options from its build: {options}"));
        }
        if let Some(size) = jemalloc.page_size {
            below(&format!("jemalloc's largest page size: {} KiB", size >> 10));
        }
    }
    if !report.needed.is_empty() {
        let needed: Vec<_> = report.needed.iter().map(Name::to_string).collect();
        below(&format!("needs: {}", needed.join(" ")));
    }
    text
}

#[derive(Serialize)]
struct JsonReport<'a> {
    path: Name,
    /// The names of the allocators that were chosen, `system` or `unknown`.
    verdict: Vec<&'static str>,
    /// Whether it is what `--expect` and `--loadable` ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<bool>,
    can_be_dlopened: Option<bool>,
    #[serde(flatten)]
    report: &'a Report,
}

#[derive(Serialize)]
struct JsonError {
    path: Name,
    error: String,
}

fn verdict(report: &Report) -> Vec<&'static str> {
    if report.unknown().is_some() {
        vec!["unknown"]
    } else if report.is_system() {
        vec!["system"]
    } else {
        report.chosen().map(|carried| carried.allocator.name()).collect()
    }
}

fn json(value: &impl Serialize) -> String {
    let mut line =
        serde_json::to_string(value).expect("strings and numbers always have a JSON form");
    line.push('\n');
    line
}

fn name(path: &Path) -> Name {
    Name(path.as_os_str().as_encoded_bytes().to_vec())
}

fn shown(path: &Path) -> String {
    printable(&path.display().to_string())
}

/// Standard error may be closed, too; then nobody wants to know.
fn complain(sentence: &str) {
    let _ = writeln!(io::stderr(), "{sentence}");
}

/// The bar on a terminal, once it takes long.
struct Progress {
    bar: ProgressBar,
    since: Instant,
}

impl Progress {
    const PATIENCE: Duration = Duration::from_secs(1);

    fn new() -> Self {
        Self { bar: ProgressBar::hidden(), since: Instant::now() }
    }

    fn start(&self, length: usize) {
        self.bar.set_length(length as u64);
        let style = ProgressStyle::with_template("{bar:40} {pos} of {len} files");
        self.bar.set_style(style.expect("the template is right"));
    }

    fn step(&self) {
        if self.bar.is_hidden()
            && io::stderr().is_terminal()
            && self.since.elapsed() > Self::PATIENCE
        {
            self.bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
        }
        self.bar.inc(1);
    }

    fn print(&self, outcome: &Outcome) -> io::Result<()> {
        self.bar.suspend(|| {
            if !outcome.err.is_empty() {
                complain(outcome.err.trim_end());
            }
            let mut out = io::stdout().lock();
            out.write_all(outcome.out.as_bytes())?;
            out.flush()
        })
    }

    fn complain(&self, sentence: &str) {
        self.bar.suspend(|| complain(sentence));
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
