//! The program as its clients see it: Prometheus, `pprof`. Each test has a server of its own.

mod server;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use prometheus_parse::{Scrape, Value};
use prost::Message;

use server::{json, status, text, Server, FUNCTION, PROGRAM};

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
        assert!(about.contains("\"prof\":true,"), "{about}");
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
