//! The program as its clients see it: Prometheus, `jeprof`, `pprof`, a browser. Each test has a
//! server of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use prometheus_parse::{Scrape, Value};
use prost::Message;
use serde_json::Value as Json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_admin");

struct Server {
    process: Child,
    /// What the program prints before the address.
    allocator: String,
    address: String,
}

impl Server {
    fn start() -> Self {
        Self::of(Command::new(PROGRAM).arg("127.0.0.1:0"))
    }

    fn of(command: &mut Command) -> Self {
        let mut process =
            command.stdout(Stdio::piped()).spawn().expect("Cargo has built the program");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (allocator, address) = line.trim().split_once(": http://").expect(&line);
        Server { allocator: allocator.into(), address: address.into(), process }
    }

    /// One with samples. Where there are no profiles it says so at this path, and there is none.
    fn with_samples(path: &str) -> Option<Self> {
        let server = Self::start();
        if !server.profiles() {
            assert_eq!(server.get(path).status_code, 501);
            return None;
        }
        server.sample();
        Some(server)
    }

    /// Without jemalloc there is no profile, without a feature neither.
    fn is_jemalloc(&self) -> bool {
        self.allocator.starts_with("jemalloc ")
    }

    fn profiles(&self) -> bool {
        self.is_jemalloc() && cfg!(feature = "profiling")
    }

    fn request(&self, method: minreq::Method, path: &str) -> minreq::Request {
        minreq::Request::new(method, format!("http://{}{path}", self.address)).with_timeout(600)
    }

    fn get(&self, path: &str) -> minreq::Response {
        self.request(minreq::Method::Get, path).send().unwrap()
    }

    fn post(&self, path: &str) -> minreq::Response {
        self.request(minreq::Method::Post, path).send().unwrap()
    }

    /// Samples until a MiB of the program's work, which holds 16, is in the profile.
    fn sample(&self) {
        assert_eq!(self.post("/profile/reset?lg_sample=12").status_code, 200);
        assert_eq!(json(&self.post("/profile/start"))["active"], true);
        let enough = (0..10_000).any(|_| held(&text(&self.get("/profile/heap"))) > 1 << 20);
        assert!(enough, "the program allocates all the time");
    }
}

/// The bytes in the second line of a profile: `  t*: objects: bytes [0: 0]`.
fn held(heap: &str) -> usize {
    let total = heap.lines().nth(1).unwrap();
    total.split([':', '[']).nth(2).unwrap().trim().parse().unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn text(response: &minreq::Response) -> String {
    assert_eq!(response.status_code, 200, "{:?}", response.as_str());
    response.as_str().unwrap().into()
}

fn json(response: &minreq::Response) -> Json {
    assert_eq!(response.headers["content-type"], "application/json");
    serde_json::from_str(&text(response)).unwrap()
}

/// The status of the answer that comes to a request already sent.
fn status(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().to_owned()
}

/// A folder of this test's own, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("admin-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs a tool of which the package is named.
fn run(tool: &str, package: &str, command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{tool}: {error}: install {package}"))
}

#[test]
fn it_says_what_it_has() {
    let server = Server::start();
    let about = text(&server.get("/allocator"));
    assert!(
        about.starts_with(&format!("{}\nself-check: as chosen\n", server.allocator)),
        "{about}"
    );
    assert_eq!(about.contains("\noptions: "), server.is_jemalloc(), "{about}");
    if server.profiles() {
        assert!(about.contains(",prof:true,"), "{about}");
    }
}

#[test]
fn prometheus_reads_the_gauges() {
    let server = Server::start();
    let response = server.get("/stats");
    assert_eq!(response.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = text(&response);
    let scrape = Scrape::parse(text.lines().map(|line| Ok(line.into()))).unwrap();
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(scrape.samples.len(), samples, "the parser drops what it cannot read: {text}");
    assert_eq!(scrape.docs.len(), samples, "each has its help");

    let value = |name: &str| {
        let sample = scrape.samples.iter().find(|sample| sample.metric == name)?;
        match sample.value {
            Value::Gauge(value) => Some(value),
            ref other => panic!("{name}: {other:?}"),
        }
    };
    let info = &scrape.samples[0];
    assert_eq!(info.metric, "allocator_info");
    let version = info.labels.get("version").unwrap_or_default();
    let name = [info.labels.get("name").unwrap(), version].join(" ");
    // The parser loses a label with an equals sign in it, which the format permits.
    let (_, reason) = text.split_once("reason=\"").unwrap();
    let (reason, _) = reason.split_once("\"} 1\n").unwrap();
    let reason = reason.replace("\\\"", "\"");
    assert_eq!(format!("{} ({reason})", name.trim()), server.allocator);
    assert_eq!(value("allocator_profiling"), Some(0.0));
    let process = value("process_resident_memory_bytes").unwrap();
    assert!((1e6..1e9).contains(&process), "{process}");
    if server.is_jemalloc() && cfg!(feature = "stats") {
        let [allocated, active, metadata, resident, mapped] =
            ["allocated", "active", "metadata", "resident", "mapped"]
                .map(|name| value(&format!("allocator_{name}_bytes")).unwrap());
        assert!(0.0 < allocated && allocated <= active && active <= mapped, "{text}");
        assert!(0.0 < metadata && metadata < resident && resident < process + 64e6, "{text}");
    }
}

#[test]
fn the_report_has_both_forms() {
    let server = Server::start();
    let (report, wrong) = (server.get("/report"), server.get("/report?form=xml"));
    assert_eq!(wrong.status_code, 400);
    if server.is_jemalloc() {
        assert!(text(&report).contains("End jemalloc statistics"));
        let report = json(&server.get("/report?form=json"));
        assert!(report["jemalloc"]["version"].is_string(), "{report}");
    } else if cfg!(all(target_os = "linux", target_env = "gnu")) {
        assert!(text(&report).starts_with("<malloc "));
        let report = json(&server.get("/report?form=json"));
        assert!(report["mallinfo2"]["arena"].is_u64(), "{report}");
    } else {
        assert_eq!(report.status_code, 501);
    }
}

#[test]
fn a_purge_says_what_it_gave_back() {
    let server = Server::start();
    let purged = server.post("/purge");
    if server.is_jemalloc() || cfg!(any(target_env = "gnu", target_vendor = "apple")) {
        let purged = json(&purged);
        for name in ["resident_before", "resident_after"] {
            let bytes = purged[name].as_f64().unwrap();
            assert!((1e6..1e9).contains(&bytes), "{purged}");
        }
    } else {
        assert_eq!(purged.status_code, 501);
    }
}

#[test]
fn what_is_asked_wrongly_has_the_status_that_says_so() {
    let server = Server::start();
    assert_eq!(server.get("/").status_code, 404);
    assert_eq!(server.get("/profile").status_code, 404);
    for path in ["/purge", "/profile/start", "/profile/stop", "/profile/reset"] {
        let response = server.get(path);
        assert_eq!((response.status_code, &*response.headers["allow"]), (405, "POST"), "{path}");
    }
    for path in ["/allocator", "/stats", "/report", "/profile/status", "/profile/heap"] {
        let response = server.post(path);
        assert_eq!(
            (response.status_code, &*response.headers["allow"]),
            (405, "GET,HEAD"),
            "{path}"
        );
    }
    for query in
        ["lg_sample=64", "lg_sample=33", "lg_sample=-1", "lg_sample=x", "lg_sample=", "rate=19"]
    {
        assert_eq!(server.post(&format!("/profile/reset?{query}")).status_code, 400, "{query}");
    }
    if !server.profiles() {
        for path in ["/profile/heap", "/profile/pprof", "/profile/flamegraph"] {
            assert_eq!(server.get(path).status_code, 501, "{path}");
        }
        for path in ["/profile/start", "/profile/stop", "/profile/reset"] {
            let response = server.post(path);
            let reason = response.as_str().unwrap();
            assert_eq!(response.status_code, 501, "{path}");
            assert!(reason.starts_with(&format!("{}: ", server.allocator)), "{reason}");
        }
        let status = json(&server.get("/profile/status"));
        assert_eq!(status, serde_json::json!({ "active": false, "armed": false }));
    }
}

/// A page in a browser on the same machine is no person with `curl`.
#[test]
fn web_pages_are_refused() {
    let server = Server::start();
    let with_header = |name: &str, value: &str| {
        let request = server.request(minreq::Method::Get, "/allocator").with_header(name, value);
        request.send().unwrap().status_code
    };
    assert_eq!(with_header("Origin", "https://example.org"), 403);
    assert_eq!(with_header("Origin", "null"), 403);
    assert_eq!(with_header("Origin", &format!("http://{}", server.address)), 200);
    assert_eq!(with_header("Sec-Fetch-Site", "cross-site"), 403);
    assert_eq!(with_header("Sec-Fetch-Site", "none"), 200);
    assert_eq!(with_header("Referer", "http://example.org/page"), 403);
    assert_eq!(with_header("Referer", &format!("http://{}0/", server.address)), 403);
    assert_eq!(with_header("Referer", &format!("http://{}/allocator", server.address)), 200);
    // minreq writes its own `Host`.
    let as_host = |host: &str| {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        write!(stream, "GET /allocator HTTP/1.0\r\nHost: {host}\r\n\r\n").unwrap();
        status(stream)
    };
    assert_eq!(as_host("rebound.example.org:6780"), "403");
    assert_eq!(as_host("127.0.0.1.example.org"), "403");
    assert_eq!(as_host(""), "403");
    for host in [
        "[127.0.0.1",
        "[127.0.0.1]",
        "127.0.0.1]",
        "[localhost]",
        "0.0.0.0",
        "[::]:6780",
        "[::ffff:127.0.0.1]",
        "[::ffff:0:0]:6780",
        "255.255.255.255",
    ] {
        assert_eq!(as_host(host), "403", "{host}");
    }
    // The second of two counts as much as the first.
    let own = format!("http://{}", server.address);
    let twice = [
        format!("Origin: {own}\r\nOrigin: https://example.org"),
        "Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site".to_owned(),
        "Host: rebound.example.org".to_owned(),
    ];
    for more in twice {
        assert_eq!(as_host(&format!("{}\r\n{more}", server.address)), "403", "{more}");
    }
    for host in ["localhost:6780", "localhost", "127.0.0.1", "[::1]:6780", "[::1]"] {
        assert_eq!(as_host(host), "200", "{host}");
    }
}

/// A client that holds more connections than the process may have, and sends half a request or
/// none, keeps others out for a while.
#[test]
fn too_many_connections_do_not_end_it() {
    let script = "ulimit -n 32 && exec \"$0\" 127.0.0.1:0";
    let mut server = Server::of(Command::new("sh").args(["-c", script, PROGRAM]));
    let mut held: Vec<_> = (0..64).map(|_| TcpStream::connect(&server.address).unwrap()).collect();
    for stream in held.iter_mut().step_by(2) {
        stream.write_all(b"GET /stats HTTP/1.1\r\nHost: ").unwrap();
    }
    assert_eq!(server.get("/allocator").status_code, 200);
    assert_eq!(server.process.try_wait().unwrap(), None, "it runs");
    drop(held);
}

/// The others are told to come back, and take no thread of the program's meanwhile.
#[test]
fn many_who_want_a_profile_do_not_stop_it() {
    let Some(server) = Server::with_samples("/profile/flamegraph") else { return };
    let request = format!("GET /profile/flamegraph HTTP/1.0\r\nHost: {}\r\n\r\n", server.address);
    let asked: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(&server.address).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    assert_eq!(server.get("/stats").status_code, 200);
    let tasks = format!("/proc/{}/task", server.process.id());
    let threads = fs::read_dir(tasks).unwrap().count();
    let processors = std::thread::available_parallelism().unwrap().get(); // a thread of tokio's each
    assert!(threads < 64 + processors, "{threads} threads");
    let answers: Vec<String> = asked.into_iter().map(status).collect();
    assert!(answers.iter().any(|status| status == "200"), "{answers:?}");
    assert!(answers.iter().all(|status| status == "200" || status == "503"), "{answers:?}");
}

#[test]
fn it_listens_to_others_only_when_told() {
    let out = Command::new(PROGRAM).arg("0.0.0.0:0").output().unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(!out.status.success() && said.contains("--expose"), "{said}");
    let out = Command::new(PROGRAM).args(["nowhere"]).output().unwrap();
    assert!(!out.status.success());

    let server = Server::of(Command::new(PROGRAM).args(["0.0.0.0:0", "--expose"]));
    assert!(server.address.starts_with("0.0.0.0:"), "{}", server.address);
}

#[test]
fn a_profile_is_armed_started_stopped_and_forgotten() {
    let server = Server::start();
    if !server.profiles() {
        return assert_eq!(server.post("/profile/start").status_code, 501);
    }
    let status = |response: minreq::Response| json(&response)["active"].as_bool().unwrap();
    assert_eq!(
        json(&server.get("/profile/status")),
        serde_json::json!({ "active": false, "armed": true })
    );
    let empty = server.get("/profile/flamegraph");
    assert_eq!(empty.status_code, 409, "{:?}", empty.as_str());
    assert!(text(&server.get("/profile/heap")).starts_with("heap_v2/524288\n"));
    server.sample();
    assert!(status(server.get("/profile/status")));
    assert!(text(&server.get("/profile/heap")).starts_with("heap_v2/4096\n"));
    assert!(!status(server.post("/profile/stop")));
    assert!(!status(server.post("/profile/reset")));
    let heap = text(&server.get("/profile/heap"));
    assert!(!heap.contains("\n@ ") && heap.starts_with("heap_v2/4096\n"), "{heap}");
}

/// The function that the program's work is done in.
const FUNCTION: &str = "admin::answer";

#[test]
fn jeprof_reads_the_profile() {
    let Some(server) = Server::with_samples("/profile/heap") else { return };
    let heap = folder("jeprof").join("program.heap");
    fs::write(&heap, server.get("/profile/heap").as_bytes()).unwrap();
    let mut jeprof = Command::new("jeprof");
    jeprof.args(["--text", "--show_bytes", PROGRAM]).arg(heap);
    let out = run("jeprof", "libjemalloc-dev", &mut jeprof);
    let text = String::from_utf8(out.stdout).unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && text.contains(FUNCTION), "{text}{said}");
}

/// The parts of <https://github.com/google/pprof/blob/main/proto/profile.proto> that are looked at.
mod pprof {
    #[derive(prost::Message)]
    pub struct Profile {
        #[prost(message, repeated, tag = "1")]
        pub sample_type: Vec<ValueType>,
        #[prost(message, repeated, tag = "2")]
        pub sample: Vec<Sample>,
        #[prost(message, repeated, tag = "4")]
        pub location: Vec<Location>,
        #[prost(message, repeated, tag = "5")]
        pub function: Vec<Function>,
        #[prost(string, repeated, tag = "6")]
        pub string_table: Vec<String>,
    }

    #[derive(prost::Message)]
    pub struct ValueType {
        #[prost(int64, tag = "1")]
        pub kind: i64,
        #[prost(int64, tag = "2")]
        pub unit: i64,
    }

    #[derive(prost::Message)]
    pub struct Sample {
        #[prost(uint64, repeated, tag = "1")]
        pub location_id: Vec<u64>,
        #[prost(int64, repeated, tag = "2")]
        pub value: Vec<i64>,
    }

    #[derive(prost::Message)]
    pub struct Location {
        #[prost(uint64, tag = "1")]
        pub id: u64,
        #[prost(message, repeated, tag = "4")]
        pub line: Vec<Line>,
    }

    #[derive(prost::Message)]
    pub struct Line {
        #[prost(uint64, tag = "1")]
        pub function_id: u64,
    }

    #[derive(prost::Message)]
    pub struct Function {
        #[prost(uint64, tag = "1")]
        pub id: u64,
        #[prost(int64, tag = "2")]
        pub name: i64,
    }
}

#[test]
fn a_pprof_reader_reads_the_profile() {
    let Some(server) = Server::with_samples("/profile/pprof") else { return };
    let response = server.get("/profile/pprof");
    assert_eq!(response.status_code, 200, "{:?}", response.as_str());
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(response.as_bytes()).read_to_end(&mut bytes).unwrap();
    let profile = pprof::Profile::decode(&*bytes).unwrap();
    let string = |index: i64| profile.string_table[usize::try_from(index).unwrap()].as_str();
    let kind = &profile.sample_type[0];
    assert_eq!((string(kind.kind), string(kind.unit)), ("inuse_space", "bytes"));
    let is_answer = |sample: &pprof::Sample| {
        sample.location_id.iter().any(|id| {
            let location = profile.location.iter().find(|location| location.id == *id).unwrap();
            location.line.iter().any(|line| {
                let of_line = |function: &&pprof::Function| function.id == line.function_id;
                string(profile.function.iter().find(of_line).unwrap().name) == FUNCTION
            })
        })
    };
    let held: i64 =
        profile.sample.iter().filter(|&sample| is_answer(sample)).map(|s| s.value[0]).sum();
    assert!((4096..64 << 20).contains(&held), "{held} bytes by {FUNCTION}");
}

/// Whatever it draws is looked at by a person now and then: the picture stays in Cargo's folder for
/// tests.
#[test]
fn a_browser_draws_the_flame_graph() {
    let Some(server) = Server::with_samples("/profile/flamegraph") else { return };
    let graph = server.get("/profile/flamegraph");
    assert_eq!(graph.headers["content-type"], "image/svg+xml");
    assert!(text(&graph).contains(FUNCTION));

    let folder = folder("browser");
    let chromium = |what: &str| {
        let mut command = Command::new("chromium");
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]);
        command.args(["--no-first-run", "--disable-background-networking"]);
        command.args(["--disable-component-update", "--disable-sync", "--window-size=1300,700"]);
        command.arg(format!("--user-data-dir={}", folder.join("profile").display()));
        command.args([what, &format!("http://{}/profile/flamegraph", server.address)]);
        let out = run("chromium", "chromium", &mut command);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success(), "{said}");
        String::from_utf8(out.stdout).unwrap()
    };
    // The graph's script has run: it fits each frame's text to its width.
    let page = chromium("--dump-dom");
    assert!(page.contains("<svg") && page.contains("admin::"), "{page}");
    let picture = folder.join("flamegraph.png");
    chromium(&format!("--screenshot={}", picture.display()));
    let picture = fs::read(picture).unwrap();
    assert!(picture.starts_with(b"\x89PNG"));
}
