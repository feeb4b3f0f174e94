//! From runs to pages.

use std::fmt::Write;
use std::path::PathBuf;

use crate::programs::{self, Program, Source, BURSTS, LOOKS};
use crate::report::plots::{self, Panel, Row};
use crate::report::{geometric_mean, row, short, Allocator, Figures, Run};
use crate::{SIZES, THREADS};

/// What one call measured, and where.
pub struct Session {
    machine: String,
    figures: Figures,
}

/// Where the columns of every table are.
const GLIBC: usize = 0;
const DEFAULT: usize = 1;
const AGAIN: usize = 2;

/// How the pages speak of each half of the programs, and whether it is the one that chooses.
const HALVES: [(&str, bool); 2] = [("report", false), ("choose options", true)];

/// What a program spends, and how it is printed.
const METRICS: [(&str, &str, &str, usize); 4] = [
    ("Processor time", "cpu", "s", 3),
    ("User time", "user", "s", 3),
    ("Elapsed time", "wall", "s", 3),
    ("Peak resident memory", "peak", "MiB", 1),
];

/// What a server is asked: its title, the metric, its unit and digits.
const SERVED: [(&str, &str, &str, usize); 6] = [
    ("Requests in a second (more is better)", "rate", "/s", 0),
    ("Median latency", "p50", "ms", 2),
    ("99th percentile of the latency", "p99", "ms", 2),
    ("Processor time of a request", "cpu", "µs", 1),
    ("Resident memory right after the load", "after", "MiB", 1),
    ("Resident memory after a while without requests", "idle", "MiB", 1),
];

impl Session {
    fn new(machine: String, allocators: Vec<Allocator>, runs: Vec<Run>) -> Self {
        let mut workloads: Vec<String> = Vec::new();
        for run in &runs {
            if !workloads.contains(&run.workload) {
                workloads.push(run.workload.clone());
            }
        }
        Session { machine, figures: Figures { allocators, workloads, runs } }
    }

    /// From what [`head`] and [`lines`] wrote.
    pub fn load(text: &str) -> Self {
        let mut lines = text.lines();
        let machine = format!("{}\n", lines.next().expect("a first line"));
        let (runs, allocators): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with('\t'));
        let allocator = |line: &str| {
            let mut fields = line.split('\t').map(str::to_owned);
            let (name, what) = (fields.next().unwrap(), fields.next().expect("what it is"));
            let conf = fields.next().filter(|conf| !conf.is_empty());
            Allocator { name, what, program: PathBuf::new(), conf }
        };
        let run = |line: &str| {
            let fields: Vec<_> = line.split('\t').skip(1).collect();
            Run::parse(fields[0], fields[1].parse().expect("a column"), fields[2])
        };
        let allocators = allocators.into_iter().map(allocator).collect();
        Session::new(machine, allocators, runs.into_iter().map(run).collect())
    }

    /// The runs of all of them, in the columns of the last, which each has to have: a ratio is of
    /// two runs of one round.
    pub fn pooled(sessions: &[Session]) -> Self {
        let last = &sessions.last().expect("there is one").figures;
        let mut machines: Vec<&str> = Vec::new();
        let mut runs = Vec::new();
        for session in sessions {
            let allocators = &session.figures.allocators;
            let has = |a: &Allocator| {
                allocators.iter().any(|other| (&other.name, &other.conf) == (&a.name, &a.conf))
            };
            assert!(last.allocators.iter().all(has), "other allocators: {}", session.machine);
            if !machines.contains(&&*session.machine) {
                machines.push(&session.machine);
            }
            for run in &session.figures.runs {
                let name = session.name(run.allocator);
                if let Some(allocator) = last.find(name) {
                    runs.push(Run { allocator, ..run.clone() });
                }
            }
        }
        Session::new(machines.join("\n"), last.allocators.clone(), runs)
    }

    /// The workloads of a part, such as `large` or `servers`; of both halves, or of one.
    fn part(&self, part: &str, chooses: Option<bool>) -> Vec<String> {
        let of = |workload: &&String| {
            let (of, name) = workload.split_once('/').expect("a part and a name");
            of == part && (chooses.is_none() || chooses == Some(programs::chooses(name)))
        };
        self.figures.workloads.iter().filter(of).cloned().collect()
    }

    /// The marked parts of docs/figures.md that these runs are for: their names, and what is in
    /// them.
    pub fn parts(&self, sessions: &[Session]) -> Vec<(String, String)> {
        let bursts = self.part("burst", None);
        let mut parts = Vec::new();
        if self.figures.workloads.len() > bursts.len() {
            let tables = self.tables(Session::whole(sessions)) + &goals(sessions);
            parts = vec![("summary".into(), self.summary(sessions)), ("real".into(), tables)];
        }
        parts.extend(
            bursts.iter().map(|workload| (workload.replace('/', " of "), self.burst(workload))),
        );
        parts
    }

    fn columns(&self) -> std::ops::Range<usize> {
        0..self.figures.allocators.len()
    }

    fn name(&self, allocator: usize) -> &str {
        &self.figures.allocators[allocator].name
    }

    /// The last of them that has every size, to see growth without what differs between sessions.
    pub fn whole(sessions: &[Session]) -> &Self {
        let has = |session: &&Session| {
            SIZES.iter().all(|size| !session.part(size, Some(false)).is_empty())
        };
        sessions.iter().rev().find(has).or(sessions.last()).expect("there is one")
    }

    /// The mean over all sessions, and the least and the most of one.
    fn mean_of(&self, sessions: &[Session], a: usize, metric: &str) -> String {
        let large = self.part("large", Some(false));
        if large.is_empty() {
            return "-".into();
        }
        let mean = self.figures.mean(&large, a, GLIBC, metric);
        let each = sessions.iter().filter(|s| !s.part("large", Some(false)).is_empty()).map(|s| {
            let find = |a| s.figures.find(self.name(a)).expect("pooled");
            s.figures.mean(&large, find(a), find(GLIBC), metric)
        });
        let (least, most) = each.fold((mean, mean), |(l, m), x| (l.min(x), m.max(x)));
        match sessions.len() {
            1 => format!("{mean:.2}"),
            _ => format!("{mean:.2} ({least:.2} to {most:.2})"),
        }
    }

    /// What docs/figures.md opens with.
    pub fn summary(&self, sessions: &[Session]) -> String {
        let figures = &self.figures;
        let (large, servers) = (self.part("large", Some(false)), self.part("servers", Some(false)));
        let mut text = format!(
            "{} programs and libraries and {} servers, on which no option was chosen, as multiples\n\
             of glibc's allocator in the geometric mean over all sessions, and in brackets in the\n\
             lowest and the highest session; less is better. **again** is the same file as\n\
             **alloc-switch**: what differs between these two is noise.\n\n\
             | | processor time | peak memory | slowest program | p99 | memory after | idle |\n\
             |---|--:|--:|--:|--:|--:|--:|\n",
            large.len(),
            servers.len(),
        );
        for a in self.columns().skip(1) {
            let mean = |of: &[String], metric| match of {
                [] => "-".into(),
                of => format!("{:.2}", figures.mean(of, a, GLIBC, metric)),
            };
            let slowest = match &*large {
                [] => "-".into(),
                large => {
                    let (worst, at) = figures.worst(large, a, GLIBC, "cpu");
                    format!("{worst:.2} ({})", short(at))
                }
            };
            let cells = [
                self.mean_of(sessions, a, "cpu"),
                self.mean_of(sessions, a, "peak"),
                slowest,
                mean(&servers, "p99"),
                mean(&servers, "after"),
                mean(&servers, "idle"),
            ];
            row(&mut text, self.name(a), cells.into_iter());
        }
        // No option was given to these two, so that the other half is evidence as well.
        let both = self.part("large", None);
        if both.len() > large.len() {
            let of = |a| {
                let [cpu, peak] = ["cpu", "peak"].map(|m| figures.mean(&both, a, GLIBC, m));
                format!("**{}** {cpu:.2} of the time at {peak:.2} of the memory", self.name(a))
            };
            let mimalloc = figures.find("mimalloc").expect("one of ours");
            let (jemalloc, mimalloc) = (of(DEFAULT), of(mimalloc));
            write!(text, "\nOn both halves, {} programs: {jemalloc},\n{mimalloc}.\n", both.len())
                .unwrap();
        }
        text
    }

    /// How often each allocator ran it.
    fn rounds(&self, workload: &str) -> usize {
        let of = |run: &&Run| run.workload == workload && run.allocator == GLIBC;
        self.figures.runs.iter().filter(of).count()
    }

    /// Every figure.
    pub fn tables(&self, whole: &Session) -> String {
        let figures = &self.figures;
        let mut text = format!("{}\n{}\n", self.machine, figures.describe());
        for (half, chooses) in HALVES.into_iter().rev() {
            let programs = programs::ALL.iter().filter(|p| programs::chooses(p.name) == chooses);
            let programs: Vec<_> = programs.map(describe).collect();
            writeln!(text, "These {half}: {}.\n", programs.join(", ")).unwrap();
        }
        for (half, chooses) in HALVES {
            let large = self.part("large", Some(chooses));
            if large.is_empty() {
                continue;
            }
            let rounds = self.rounds(&large[0]);
            for (title, metric, unit, digits) in METRICS {
                writeln!(text, "### {title}: the programs that {half}, {rounds} rounds\n").unwrap();
                text += &self.ratios(&large, metric, unit, digits);
            }
            writeln!(text, "### Kernel time in seconds: the programs that {half}\n").unwrap();
            text += &figures.medians(&large, 3, "sys");
            text.push('\n');
        }
        text += &whole.steps("How it grows with the work", "size", &SIZES.map(str::to_owned));
        let threads = THREADS.map(|threads| format!("threads-{threads}"));
        text += &whole.steps("How it grows with the threads", "threads", &threads);
        for (half, chooses) in HALVES {
            let servers = self.part("servers", Some(chooses));
            if servers.is_empty() {
                continue;
            }
            let rounds = self.rounds(&servers[0]);
            writeln!(text, "### Servers that {half}, {rounds} rounds\n").unwrap();
            for (title, metric, unit, digits) in SERVED {
                writeln!(text, "{title}:\n").unwrap();
                text += &self.ratios(&servers, metric, unit, digits);
            }
        }
        text + &self.armed()
    }

    fn ratios(&self, workloads: &[String], metric: &str, unit: &str, digits: usize) -> String {
        format!("{}\n", self.figures.ratios(workloads, unit, digits, metric))
    }

    /// Geometric means of the same programs at one step after the other.
    fn steps(&self, title: &str, corner: &str, steps: &[String]) -> String {
        let mut text = String::new();
        for (metric, _, name) in GROWTH {
            let (mut table, mut of) = (String::new(), String::new());
            for step in steps {
                let workloads = self.part(step, None);
                if !workloads.is_empty() {
                    let mean =
                        |a| format!("{:.2}", self.figures.mean(&workloads, a, GLIBC, metric));
                    row(&mut table, step, self.columns().map(mean));
                    of = format!("{} programs", workloads.len());
                    of += &format!(" of both halves, {} rounds", self.rounds(&workloads[0]));
                }
            }
            if !table.is_empty() {
                let header = self.figures.header(corner);
                write!(text, "### {title}: {name}, {of}\n\n{header}{table}\n").unwrap();
            }
        }
        text
    }

    /// What profiles cost that are armed and not active.
    fn armed(&self) -> String {
        let armed = self.part("armed", None);
        if armed.is_empty() {
            return String::new();
        }
        let mut text = "### Profiles that are armed\n\nInstructions, counted by callgrind, of one file \
                        with `prof:false` and with `PROFILING_ARMED`, at the smallest size and on one \
                        thread.\n\n| | off, millions | armed |\n|---|--:|--:|\n"
            .to_owned();
        let count = |program: &str, metric| self.figures.median(program, DEFAULT, metric);
        let ratios = armed.iter().map(|p| count(p, "armed") / count(p, "off"));
        for (program, ratio) in armed.iter().zip(ratios.clone()) {
            let off = format!("{:.0}", count(program, "off") / 1e6);
            row(&mut text, short(program), [off, format!("{ratio:.4}")].into_iter());
        }
        let mean = geometric_mean(ratios);
        row(&mut text, "**geometric mean**", ["".into(), format!("**{mean:.4}**")].into_iter());
        text + "\n"
    }

    /// What a server holds before, during and after a burst, and what that costs it.
    fn burst(&self, workload: &str) -> String {
        let name = short(workload);
        let burst = BURSTS.iter().find(|burst| burst.server == name).expect("one of ours");
        let half = if programs::chooses(name) { "chooses" } else { "reports" };
        let (what, rounds, looks) =
            (burst.what, self.rounds(workload), LOOKS.map(|s| format!("{s} s")));
        let line = "--:|".repeat(LOOKS.len() + 6);
        let mut text = format!(
            "{}\n{}\n{what}: **{name}**, which {half}, {rounds} rounds.\n\n\
             | | before | peak | {} | 15 s / before | processor time | p99 | when idle |\n|---|{line}\n",
            self.machine,
            self.figures.describe(),
            looks.join(" | "),
        );
        for a in self.columns() {
            let median = |metric: &str| self.figures.median(workload, a, metric);
            let mut cells = vec![median("before"), median("peak")];
            cells.extend(LOOKS.map(|seconds| median(&format!("after-{seconds}"))));
            let mut cells: Vec<_> = cells.iter().map(|mib| format!("{mib:.1}")).collect();
            let ratio = |metric| self.figures.ratio(workload, a, DEFAULT, metric);
            let ratios = [median("after-15") / median("before"), ratio("cpu"), ratio("p99")];
            cells.extend(ratios.map(|ratio| format!("{ratio:.2}")));
            cells.push(format!("{:.2} s", median("idle-cpu")));
            row(&mut text, self.name(a), cells.into_iter());
        }
        text + "\n"
    }

    pub fn plots(&self, whole: &Session) -> Vec<(&'static str, String)> {
        let figures = &self.figures;
        let mut plots = Vec::new();
        // the noise is in the tables
        let shown: Vec<usize> = self.columns().filter(|&a| a != GLIBC && a != AGAIN).collect();
        let names: Vec<&str> = shown.iter().map(|&a| self.name(a)).collect();
        let mut rows = Vec::new();
        for (title, chooses) in [("These report:", false), ("These choose options:", true)] {
            let group = self.part("large", Some(chooses));
            if !group.is_empty() {
                rows.push(Row { name: title.into(), panels: vec![] });
                let panels = |value: &dyn Fn(usize, &str) -> f64| {
                    let panel = |metric| shown.iter().map(|&a| value(a, metric)).collect();
                    ["cpu", "peak"].map(panel).into()
                };
                rows.extend(group.iter().map(|w| {
                    let panels = panels(&|a, metric| figures.ratio(w, a, GLIBC, metric));
                    Row { name: short(w).into(), panels }
                }));
                let panels = panels(&|a, metric| figures.mean(&group, a, GLIBC, metric));
                rows.push(Row { name: "geometric mean".into(), panels });
            }
        }
        if !rows.is_empty() {
            plots.push(("real.svg", plots::dots(&["time", "memory"], &names, &rows)));
        }
        let threads = THREADS.map(|threads| format!("threads-{threads}"));
        let mut panels = Vec::new();
        for (x, steps) in
            [("size of the input", &SIZES.map(str::to_owned)[..]), ("threads", &threads)]
        {
            let groups: Vec<_> = steps.iter().map(|step| whole.part(step, None)).collect();
            if groups.iter().any(Vec::is_empty) {
                continue;
            }
            for (metric, title, _) in GROWTH {
                let line = |&a: &usize| {
                    let of = whole.figures.find(self.name(a)).expect("pooled");
                    let mean = |g: &Vec<String>| whole.figures.mean(g, of, GLIBC, metric);
                    (self.name(a), groups.iter().map(mean).collect())
                };
                let lines = shown.iter().map(line).collect();
                let names = steps.iter().map(|s| s.trim_start_matches("threads-").to_owned());
                panels.push(Panel { title, x, steps: names.collect(), lines });
            }
        }
        if !panels.is_empty() {
            plots.push(("real-growth.svg", plots::lines(&panels)));
        }
        plots
    }
}

/// The first lines of a file of runs, tab-separated: where it was measured, and the allocators.
pub fn head(machine: &str, allocators: &[Allocator]) -> String {
    let line = |a: &Allocator| {
        format!("{}\t{}\t{}\n", a.name, a.what, a.conf.as_deref().unwrap_or_default())
    };
    format!("{machine}\n") + &allocators.iter().map(line).collect::<String>()
}

/// A line for each run; it begins with a tab.
pub fn lines(runs: &[Run]) -> String {
    let line = |run: &Run| {
        let values: Vec<_> = run.values.iter().map(|(k, v)| format!("{k}={v}")).collect();
        format!("\t{}\t{}\t{}\n", run.workload, run.allocator, values.join(" "))
    };
    runs.iter().map(line).collect()
}

/// Metric, the title of its panel, and how it reads in a heading.
const GROWTH: [(&str, &str, &str); 2] = [
    ("cpu", "processor time / glibc's", "processor time"),
    ("peak", "peak memory / glibc's", "peak memory"),
];

fn describe(program: &Program) -> String {
    match program.source {
        Source::Registry(package, version, ..) => {
            format!("**{}** ({package} {version}: {})", program.name, program.what)
        }
        Source::Driver(_) => format!("**{}** ({})", program.name, program.what),
    }
}

/// What the default is to reach on the half that reports, in every session.
fn goals(sessions: &[Session]) -> String {
    let mut text = "\n### Goals, on the programs that report\n\n".to_owned();
    let (mut goals, mut reached) = (0, 0);
    let names: Vec<_> = (1..=sessions.len()).map(|i| format!("session {i}")).collect();
    let line = "--:|".repeat(names.len());
    write!(text, "| | at most | {} |\n|---|--:|{line}\n", names.join(" | ")).unwrap();
    for (name, against, metric, worst, limit) in GOALS {
        let value = |session: &Session| -> Option<String> {
            let figures = &session.figures;
            let (a, b) = (figures.find(name)?, figures.find(against)?);
            let served = matches!(*metric, "p99" | "after" | "idle");
            let part = if served { "servers" } else { "large" };
            let workloads = session.part(part, Some(false));
            if workloads.is_empty() {
                return None;
            }
            let value = match worst {
                true => figures.worst(&workloads, a, b, metric),
                false => (figures.mean(&workloads, a, b, metric), ""),
            };
            let holds = if value.0 <= *limit { "" } else { ": missed" };
            Some(format!("{:.2} {}{holds}", value.0, short(value.1)))
        };
        let values: Vec<_> = sessions.iter().map(value).collect();
        if values.iter().all(Option::is_none) {
            continue;
        }
        let cells = values.into_iter().map(|value| value.unwrap_or("-".into()));
        let title = METRICS.iter().chain(&SERVED).find(|m| m.1 == *metric).expect("a metric").0;
        let title = format!("{name}, {}, of {against}'s", title.to_lowercase());
        let title = if *worst { format!("{title}, on the worst program") } else { title };
        let cells: Vec<String> = cells.collect();
        if *name == sessions[0].name(DEFAULT) {
            goals += 1;
            reached += usize::from(!cells.iter().any(|cell| cell.ends_with("missed")));
        }
        row(&mut text, &title, std::iter::once(format!("{limit:.2}")).chain(cells));
    }
    text + &format!(
        "\nOf its own {goals} goals, alloc-switch has reached {reached} in every session.\n"
    )
}

/// Allocator, what it is compared with, the metric, whether on the worst program instead of in the
/// geometric mean, and the limit.
type Goal = (&'static str, &'static str, &'static str, bool, f64);

const GOALS: &[Goal] = &[
    ("alloc-switch", "mimalloc", "cpu", false, 1.0),
    ("alloc-switch", "mimalloc", "peak", false, 0.75),
    ("alloc-switch", "glibc", "cpu", true, 1.0),
    ("alloc-switch", "glibc", "peak", false, 1.05),
];
