//! From runs to tables and plots.

mod svg;

use std::fmt::Write;
use std::path::PathBuf;

pub struct Allocator {
    pub name: String,
    pub what: String,
    pub program: PathBuf,
    /// jemalloc's options, for the environment.
    pub conf: Option<String>,
}

/// One run of one program, as benches/programs prints it.
pub struct Run {
    pub workload: String,
    pub allocator: usize,
    pub user: f64,
    pub sys: f64,
    pub wall: f64,
    pub peak: f64,
    pub mean: f64,
    pub end: f64,
    pub checksum: u64,
}

impl Run {
    pub fn parse(workload: &str, allocator: usize, line: &str) -> Self {
        let field = |i: usize| {
            line.split_whitespace().nth(i).unwrap_or_else(|| panic!("{workload}: {line:?}"))
        };
        let number = |i: usize| field(i).parse::<f64>().unwrap();
        let mib = |i: usize| number(i) / 1024.0;
        Run {
            workload: workload.into(),
            allocator,
            user: number(0),
            sys: number(1),
            wall: number(2),
            peak: mib(3),
            mean: mib(4),
            end: mib(5),
            checksum: field(7).parse().unwrap(),
        }
    }

    fn cpu(&self) -> f64 {
        self.user + self.sys
    }
}

pub struct Figures {
    pub allocators: Vec<Allocator>,
    pub workloads: Vec<String>,
    /// In the order in which they ran.
    pub runs: Vec<Run>,
}

type Of = fn(&Run) -> f64;

impl Figures {
    fn values(&self, workload: &str, allocator: usize, of: Of) -> Vec<f64> {
        self.runs
            .iter()
            .filter(|r| r.workload == workload && r.allocator == allocator)
            .map(of)
            .collect()
    }

    fn median(&self, workload: &str, allocator: usize, of: Of) -> f64 {
        median(self.values(workload, allocator, of))
    }

    /// The median over the rounds of one allocator's figure divided by another's of the same round: what slows the
    /// machine down for a while slows both.
    fn ratio(&self, workload: &str, allocator: usize, other: usize, of: Of) -> f64 {
        let pairs =
            self.values(workload, allocator, of).into_iter().zip(self.values(workload, other, of));
        median(pairs.map(|(a, b)| a / b).collect())
    }

    fn geometric_mean(&self, allocator: usize, other: usize, of: Of) -> f64 {
        let logs = self.workloads.iter().map(|w| self.ratio(w, allocator, other, of).ln());
        (logs.sum::<f64>() / self.workloads.len() as f64).exp()
    }

    pub fn markdown(&self) -> String {
        let mut text = String::new();
        for allocator in &self.allocators {
            writeln!(text, "* **{}**: {}", allocator.name, allocator.what).unwrap();
        }
        text +=
            "\n### Processor time\n\nUser and system time, as a multiple of the system allocator's: the median of the \
                 ratios round by round, less is better.\n\n";
        self.ratios(&mut text, "s", 3, Run::cpu);
        text += "\n### Elapsed time\n\nThe same for the clock on the wall.\n\n";
        self.ratios(&mut text, "s", 3, |r| r.wall);
        text += "\n### Peak resident memory\n\nThe same for the most memory that was resident at any time.\n\n";
        self.ratios(&mut text, "MiB", 1, |r| r.peak);
        if self.workloads.iter().any(|w| w == "mixed") {
            text +=
                "\n### Fragmentation\n\nResident memory over the long mixed run, in MiB (medians of the runs). It is \
                     sampled 64 times; at the end 8 MiB are alive.\n\n";
            self.header(&mut text, "");
            for (name, of) in [
                ("peak", (|r| r.peak) as Of),
                ("mean of the samples", |r| r.mean),
                ("at the end", |r| r.end),
            ] {
                let cells = (0..self.allocators.len())
                    .map(|a| format!("{:.1}", self.median("mixed", a, of)));
                writeln!(text, "| {name} | {} |", cells.collect::<Vec<_>>().join(" | ")).unwrap();
            }
        }
        self.goals(&mut text);
        text
    }

    fn header(&self, text: &mut String, unit: &str) {
        let names = self.allocators.iter().map(|a| a.name.as_str()).collect::<Vec<_>>().join(" | ");
        writeln!(text, "| {unit} | {names} |\n|---|{}", "--:|".repeat(self.allocators.len()))
            .unwrap();
    }

    /// A table with the first allocator's own figures, and the others' beside it as multiples.
    fn ratios(&self, text: &mut String, unit: &str, digits: usize, of: Of) {
        self.header(text, "workload");
        for workload in &self.workloads {
            let first = format!("{:.digits$} {unit}", self.median(workload, 0, of));
            let rest = (1..self.allocators.len())
                .map(|a| format!("{:.2}", self.ratio(workload, a, 0, of)));
            let cells = std::iter::once(first).chain(rest).collect::<Vec<_>>().join(" | ");
            writeln!(text, "| {workload} | {cells} |").unwrap();
        }
        let means =
            (1..self.allocators.len()).map(|a| format!("**{:.2}**", self.geometric_mean(a, 0, of)));
        let cells = std::iter::once("1".to_owned()).chain(means).collect::<Vec<_>>().join(" | ");
        writeln!(text, "| **geometric mean** | {cells} |").unwrap();
    }

    /// What the presets are for, beside what they reach.
    fn goals(&self, text: &mut String) {
        let find = |name: &str| self.allocators.iter().position(|a| a.name == name);
        let worst = |a: usize, b: usize, of: Of| {
            let ratios = self.workloads.iter().map(|w| (self.ratio(w, a, b, of), w));
            let (ratio, workload) = ratios.max_by(|x, y| x.0.total_cmp(&y.0)).unwrap();
            format!("{ratio:.2} on `{workload}`")
        };
        let mut lines = Vec::new();
        if let (Some(throughput), Some(stock)) = (find("throughput"), find("jemalloc")) {
            lines.push(format!(
                "**throughput** against jemalloc by hand: {:.2} of its processor time in the geometric mean, at worst {}.",
                self.geometric_mean(throughput, stock, Run::cpu),
                worst(throughput, stock, Run::cpu),
            ));
        }
        if let (Some(throughput), Some(mimalloc)) = (find("throughput"), find("mimalloc")) {
            lines.push(format!(
                "**throughput** against mimalloc: {:.2} of its processor time and {:.2} of its peak memory in the \
                 geometric mean; at worst {} and {}.",
                self.geometric_mean(throughput, mimalloc, Run::cpu),
                self.geometric_mean(throughput, mimalloc, |r| r.peak),
                worst(throughput, mimalloc, Run::cpu),
                worst(throughput, mimalloc, |r| r.peak),
            ));
        }
        if let (Some(low), true) = (find("low-memory"), self.workloads.iter().any(|w| w == "mixed"))
        {
            lines.push(format!(
                "**low-memory** against the system allocator: {:.2} of its peak, {:.2} of its mean and {:.2} of its last \
                 resident memory on `mixed`; processor time at worst {}.",
                self.ratio("mixed", low, 0, |r| r.peak),
                self.ratio("mixed", low, 0, |r| r.mean),
                self.ratio("mixed", low, 0, |r| r.end),
                worst(low, 0, Run::cpu),
            ));
        }
        if !lines.is_empty() {
            write!(text, "\n### The presets and their goals\n\n").unwrap();
            for line in lines {
                writeln!(text, "* {line}").unwrap();
            }
        }
    }

    /// File names and their SVG.
    pub fn plots(&self) -> Vec<(&'static str, String)> {
        let names: Vec<&str> = self.allocators.iter().map(|a| a.name.as_str()).collect();
        let rows = self.workloads.iter().map(|w| {
            (
                w.as_str(),
                (1..names.len()).map(|a| self.ratio(w, a, 0, Run::cpu)).collect::<Vec<_>>(),
            )
        });
        let mut plots = vec![(
            "programs.svg",
            svg::dots(
                "Processor time, as a multiple of the system allocator's",
                &names[1..],
                &rows.collect::<Vec<_>>(),
            ),
        )];
        let mut panels = Vec::new();
        for (prefix, title, axis, of) in [
            ("larson-", "larson: the same work by more threads", "threads", (|r| r.wall) as Of),
            ("heap-", "heap: as many operations on larger maps", "thousand strings", Run::cpu),
        ] {
            let steps: Vec<(f64, &str)> = self
                .workloads
                .iter()
                .filter_map(|w| Some((w.strip_prefix(prefix)?.parse().ok()?, w.as_str())))
                .collect();
            if !steps.is_empty() {
                let lines = (0..names.len()).map(|a| {
                    let points =
                        steps.iter().map(|(x, workload)| (*x, self.median(workload, a, of)));
                    (names[a], points.collect::<Vec<_>>())
                });
                let y = if prefix == "heap-" { "processor seconds" } else { "elapsed seconds" };
                panels.push(svg::Panel { title, x: axis, y, lines: lines.collect() });
            }
        }
        if !panels.is_empty() {
            plots.push(("growth.svg", svg::lines(&panels)));
        }
        plots
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}
