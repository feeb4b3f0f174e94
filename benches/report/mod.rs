//! What the benches share: measuring a process, ratios, tables, marked parts of pages, plots.

#![allow(dead_code)] // no bench needs all of it

pub mod measure;
pub mod plots;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, iter};

#[derive(Clone)]
pub struct Allocator {
    pub name: String,
    pub what: String,
    pub program: PathBuf,
    /// jemalloc's options, for the environment.
    pub conf: Option<String>,
}

/// One run of one program: its figures by name. Seconds and MiB, unless the bench says otherwise.
#[derive(Clone)]
pub struct Run {
    pub workload: String,
    pub allocator: usize,
    pub values: BTreeMap<String, f64>,
}

impl Run {
    pub fn of(workload: &str, allocator: usize, used: measure::Used) -> Self {
        let measure::Used { user, sys, wall, peak } = used;
        let line = format!("user={user} sys={sys} wall={wall} peak={peak}");
        Run::parse(workload, allocator, &line)
    }

    /// From `name=value` words. `cpu`, the processor time, is added.
    pub fn parse(workload: &str, allocator: usize, line: &str) -> Self {
        let word = |word: &str| {
            let (name, value) = word.split_once('=')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        let values = line.split_whitespace().map(word).collect::<Option<BTreeMap<_, _>>>();
        let mut values = values.unwrap_or_else(|| panic!("{workload}: {line:?}"));
        values.insert("cpu".into(), values["user"] + values["sys"]);
        Run { workload: workload.into(), allocator, values }
    }
}

pub struct Figures {
    pub allocators: Vec<Allocator>,
    pub workloads: Vec<String>,
    /// In the order in which they ran.
    pub runs: Vec<Run>,
}

impl Figures {
    pub fn find(&self, allocator: &str) -> Option<usize> {
        self.allocators.iter().position(|a| a.name == allocator)
    }

    fn values(&self, workload: &str, allocator: usize, metric: &str) -> Vec<f64> {
        let of = |r: &&Run| r.workload == workload && r.allocator == allocator;
        self.runs.iter().filter(of).filter_map(|r| r.values.get(metric).copied()).collect()
    }

    pub fn median(&self, workload: &str, allocator: usize, metric: &str) -> f64 {
        median(self.values(workload, allocator, metric))
    }

    /// The median over the rounds of one allocator's figure divided by another's of the same round:
    /// what slows the machine down for a while slows both.
    pub fn ratio(&self, workload: &str, allocator: usize, other: usize, metric: &str) -> f64 {
        let values = self.values(workload, allocator, metric);
        let pairs = values.into_iter().zip(self.values(workload, other, metric));
        median(pairs.map(|(a, b)| a / b))
    }

    /// The geometric mean of the ratios on some workloads.
    pub fn mean(&self, workloads: &[String], allocator: usize, other: usize, metric: &str) -> f64 {
        geometric_mean(workloads.iter().map(|w| self.ratio(w, allocator, other, metric)))
    }

    /// The largest ratio, and where.
    pub fn worst<'a>(
        &self,
        workloads: &'a [String],
        allocator: usize,
        other: usize,
        metric: &str,
    ) -> (f64, &'a str) {
        let ratios = workloads.iter().map(|w| (self.ratio(w, allocator, other, metric), &**w));
        ratios.max_by(|a, b| a.0.total_cmp(&b.0)).expect("there is a workload")
    }

    pub fn describe(&self) -> String {
        self.allocators.iter().map(|a| format!("* **{}**: {}\n", a.name, a.what)).collect()
    }

    pub fn header(&self, corner: &str) -> String {
        let names: Vec<_> = self.allocators.iter().map(|a| a.name.as_str()).collect();
        let line = "--:|".repeat(names.len());
        format!("| {corner} | {} |\n|---|{line}\n", names.join(" | "))
    }

    /// A table with the first allocator's own figures, and the others' beside it as multiples.
    pub fn ratios(&self, workloads: &[String], unit: &str, digits: usize, metric: &str) -> String {
        let mut text = self.header("");
        let others = || 1..self.allocators.len();
        for workload in workloads {
            let first = format!("{:.digits$} {unit}", self.median(workload, 0, metric));
            let rest = others().map(|a| format!("{:.2}", self.ratio(workload, a, 0, metric)));
            row(&mut text, short(workload), iter::once(first).chain(rest));
        }
        let means = others().map(|a| format!("**{:.2}**", self.mean(workloads, a, 0, metric)));
        row(&mut text, "**geometric mean**", iter::once("1".to_owned()).chain(means));
        text
    }

    /// A table of every allocator's own figures.
    pub fn medians(&self, workloads: &[String], digits: usize, metric: &str) -> String {
        let mut text = self.header("");
        for workload in workloads {
            let all = 0..self.allocators.len();
            let cells = all.map(|a| format!("{:.digits$}", self.median(workload, a, metric)));
            row(&mut text, short(workload), cells);
        }
        text
    }
}

/// A workload's name without the part that it belongs to: `large/fd` is `fd`.
pub fn short(workload: &str) -> &str {
    workload.rsplit('/').next().unwrap_or(workload)
}

pub fn row(text: &mut String, name: &str, cells: impl Iterator<Item = String>) {
    writeln!(text, "| {name} | {} |", cells.collect::<Vec<_>>().join(" | ")).unwrap();
}

pub fn geometric_mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    (values.map(f64::ln).sum::<f64>() / count).exp()
}

pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// Replaces what a page has between `<!-- begin: NAME -->` and `<!-- end -->`.
pub fn write_part(page: &Path, name: &str, text: &str) {
    let begin = format!("<!-- begin: {name} -->\n");
    let old = fs::read_to_string(page).expect("the page is there to be filled in");
    let marks = old.split_once(&begin).and_then(|(before, rest)| {
        let (_, after) = rest.split_once("<!-- end -->")?;
        Some((before, after))
    });
    let (before, after) = marks.unwrap_or_else(|| panic!("{page:?} has no part {name}"));
    fs::write(page, format!("{before}{begin}{text}<!-- end -->{after}")).unwrap();
}

/// Where something was measured: the processor, the kernel, the compiler and the C library.
pub fn machine() -> String {
    let first = |file: &str, field: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|l| l.starts_with(field)).unwrap_or_default().to_owned();
        line.split_once(':').map_or(line.clone(), |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{} ({cores} processors, {} of memory), Linux {}, transparent huge pages {}; {}; {}",
        first("/proc/cpuinfo", "model name"),
        first("/proc/meminfo", "MemTotal"),
        first("/proc/sys/kernel/osrelease", ""),
        first("/sys/kernel/mm/transparent_hugepage/enabled", ""),
        says("rustc", &["--version"]),
        says("ldd", &["--version"]),
    )
}

/// The commit that is checked out.
pub fn commit() -> String {
    says("git", &["rev-parse", "--short", "HEAD"])
}

/// A package's name and version, from a lock file.
pub fn version(lock: &Path, package: &str) -> String {
    let lock = fs::read_to_string(lock).expect("it is committed");
    let at = lock.find(&format!("name = \"{package}\"\n")).expect("a dependency");
    format!("{package} {}", lock[at..].split('"').nth(3).unwrap())
}

fn says(program: &str, args: &[&str]) -> String {
    let mut command = Command::new(program);
    let output = command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.map(|o| o.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().next().unwrap_or("unknown").to_owned()
}
