//! Running: programs to their end, servers under a bounded load.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::programs::Client;
use crate::report::measure::{self, Used};
use crate::report::{Allocator, Run};

/// The environment variable that jemalloc under its prefix reads.
const CONF: &str = "_RJEM_MALLOC_CONF";

/// Fills in `{name}`s, and makes a command of leading `VARIABLE=VALUE` words and arguments. It has
/// no other environment, and so nobody's options.
pub fn command(program: &Path, words: &str, filled: &[(&str, String)]) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    for word in words.split_whitespace() {
        let word = fill(word, filled);
        match word.split_once('=') {
            Some((name, value)) if name.chars().all(|c| c.is_ascii_uppercase() || c == '_') => {
                command.env(name, value);
            }
            _ => _ = command.arg(word),
        }
    }
    command
}

pub fn fill(text: &str, filled: &[(&str, String)]) -> String {
    filled
        .iter()
        .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

/// Every allocator in turn, and not always the same one first.
pub fn rounds(
    rounds: usize,
    allocators: &[Allocator],
    mut run: impl FnMut(usize, &Allocator) -> Option<Run>,
) -> Vec<Run> {
    let mut runs = Vec::new();
    for round in 0..rounds {
        for i in 0..allocators.len() {
            let index = (i + round) % allocators.len();
            runs.extend(run(index, &allocators[index]));
        }
    }
    runs
}

/// Runs a program and gives what it used, and how much it printed. `codes` are the exit codes of a
/// run that did its work.
pub fn program(
    command: &mut Command,
    conf: Option<&str>,
    out: &Path,
    codes: &[i32],
) -> (Used, u64) {
    let errors = out.with_extension("errors");
    command.envs(conf.map(|conf| (CONF, conf)));
    command.stdin(Stdio::null()).stdout(File::create(out).unwrap());
    command.stderr(File::create(&errors).unwrap());
    let (status, used) = measure::run(command);
    let errors = fs::read_to_string(errors).unwrap();
    let done = status.code().is_some_and(|code| codes.contains(&code));
    // jemalloc complains about an option that it does not know
    assert!(done && !errors.contains("<jemalloc>"), "{command:?}: {status}\n{errors}");
    // The kernel counts the memory of whoever starts a program to the program's peak.
    let own = measure::status(std::process::id(), "VmHWM:");
    assert!(used.peak > own, "{command:?} has {} MiB, and this harness {own}", used.peak);
    (used, fs::metadata(out).unwrap().len())
}

/// How many instructions a command executes.
pub fn instructions(command: &mut Command, conf: Option<&str>, out: &Path) -> u64 {
    command.envs(conf.map(|conf| (CONF, conf)));
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    valgrind.arg(command.get_program()).args(command.get_args());
    valgrind.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    valgrind.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    valgrind.stdin(Stdio::null()).stdout(File::create(out).unwrap());
    let output = valgrind.output().expect("valgrind is installed");
    let text = String::from_utf8_lossy(&output.stderr);
    let counted = text.lines().find_map(|line| line.split_once("Collected : ")?.1.parse().ok());
    counted.filter(|_| output.status.success()).unwrap_or_else(|| panic!("{valgrind:?}\n{text}"))
}

pub struct Load {
    /// What the server is called with.
    pub command: &'static str,
    pub client: Client,
    /// Seconds that wrk runs.
    pub seconds: u64,
    /// Seconds from the end of the load at which the server's memory is looked at.
    pub looks: Vec<u64>,
    pub warm_up: Option<Client>,
}

/// What a server did under a load; the thread waits until it was idle for long enough.
pub fn server(
    mut command: Command,
    conf: Option<&str>,
    port: u16,
    input: &Path,
    load: &Load,
) -> JoinHandle<String> {
    // What it says of clients that leave nobody reads; but jemalloc is to know its options.
    command.envs(conf.map(|conf| (CONF, format!("abort_conf:true,{conf}"))));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let mut server = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let ended = server.try_wait().unwrap();
        assert!(ended.is_none() && begun.elapsed().as_secs() < 10, "{command:?}: {ended:?}");
        thread::sleep(Duration::from_millis(10));
    }
    if let Some(warm_up) = load.warm_up {
        client(warm_up, load.seconds, port, input);
    }
    let pid = server.id();
    let resident = move || measure::status(pid, "VmRSS:");
    let (before, start) = (resident(), measure::times(pid));
    let (requests, mut line) = client(load.client, load.seconds, port, input);
    let (after, load_ended) = (resident(), Instant::now());
    thread::sleep(Duration::from_secs(1)); // what wrk left behind unanswered is still worked on
    let end = measure::times(pid);
    // microseconds for a request
    let [user, sys] = [0, 1].map(|i| (end[i] - start[i]) / requests * 1e6);
    line += &format!(" user={user} sys={sys} before={before} after={after}");
    let looks = load.looks.clone();
    thread::spawn(move || {
        for seconds in looks {
            thread::sleep(Duration::from_secs(seconds).saturating_sub(load_ended.elapsed()));
            line += &format!(" after-{seconds}={}", resident());
        }
        let idle = resident();
        let used = stop(server, begun);
        let idle_cpu = used.user + used.sys - end[0] - end[1];
        line + &format!(" peak={} idle={idle} idle-cpu={idle_cpu}", used.peak)
    })
}

fn stop(mut server: Child, begun: Instant) -> Used {
    server.kill().unwrap();
    measure::wait(server, begun).1
}

/// How many requests were answered, and `rate=… p50=… p99=…`: for a second, and milliseconds.
fn client(client: Client, seconds: u64, port: u16, input: &Path) -> (f64, String) {
    let filled = [("port", port.to_string()), ("input", input.display().to_string())];
    let (tool, package, words) = match client {
        Client::RedisBenchmark(words) => {
            ("redis-benchmark", "redis-tools", format!("-p {port} --csv {words}"))
        }
        Client::Wrk(words) => ("wrk", "wrk", format!("-t 1 -c 32 -d {seconds}s --latency {words}")),
    };
    let mut command = command(Path::new(tool), &words, &filled);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{tool}: {error}; it is in Debian's package {package}"));
    let text = String::from_utf8_lossy(&output.stdout);
    let parsed = match client {
        Client::RedisBenchmark(_) => redis_benchmark(&text, words_after(&words, "-n")),
        Client::Wrk(_) => wrk(&text),
    };
    let (requests, rate, p50, p99) =
        parsed.filter(|_| output.status.success()).unwrap_or_else(|| panic!("{output:?}"));
    (requests, format!("rate={rate} p50={p50} p99={p99}"))
}

fn words_after(words: &str, option: &str) -> f64 {
    let mut words = words.split_whitespace().skip_while(|word| *word != option);
    words.nth(1).and_then(|value| value.parse().ok()).expect("a number of requests")
}

/// Lines of `"test","rps","avg","min","p50","p95","p99","max"`: the slower percentile of the tests.
fn redis_benchmark(text: &str, each: f64) -> Option<(f64, f64, f64, f64)> {
    let (mut requests, mut seconds, mut p50, mut p99) = (0.0, 0.0, 0.0f64, 0.0f64);
    for line in text.lines().skip(1) {
        let fields: Vec<f64> = line
            .split(',')
            .skip(1)
            .map(|f| f.trim_matches('"').parse().ok())
            .collect::<Option<_>>()?;
        requests += each;
        seconds += each / fields.first()?;
        (p50, p99) = (p50.max(*fields.get(3)?), p99.max(*fields.get(5)?));
    }
    (requests > 0.0).then_some((requests, requests / seconds, p50, p99))
}

fn wrk(text: &str) -> Option<(f64, f64, f64, f64)> {
    let after = |start: &str| {
        let line = text.lines().map(str::trim).find(|line| line.starts_with(start))?;
        line[start.len()..].split_whitespace().next()
    };
    let milliseconds = |time: &str| {
        let (number, unit) = time.split_at(time.find(|c: char| c.is_alphabetic())?);
        let unit = [("us", 0.001), ("ms", 1.0), ("s", 1000.0)].into_iter().find(|u| u.0 == unit)?;
        Some(number.parse::<f64>().ok()? * unit.1)
    };
    let requests = text.lines().find(|line| line.contains(" requests in "))?;
    let requests = requests.split_whitespace().next()?.parse().ok()?;
    let refused = text.contains("Non-2xx") || text.contains("Socket errors");
    let rate = after("Requests/sec:")?.parse().ok()?;
    (!refused).then_some((
        requests,
        rate,
        milliseconds(after("50%")?)?,
        milliseconds(after("99%")?)?,
    ))
}
