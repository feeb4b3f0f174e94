//! The program, started by a test, and what its clients need.

#![allow(dead_code)] // each test program uses its part

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value as Json;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_admin");

pub struct Server {
    pub process: Child,
    /// What the program prints before the address.
    pub allocator: String,
    pub address: String,
}

impl Server {
    pub fn start() -> Self {
        Self::of(Command::new(PROGRAM).arg("127.0.0.1:0"))
    }

    pub fn of(command: &mut Command) -> Self {
        let mut process =
            command.stdout(Stdio::piped()).spawn().expect("Cargo has built the program");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (allocator, address) = line.trim().split_once(": http://").expect(&line);
        Server { allocator: allocator.into(), address: address.into(), process }
    }

    /// One with samples. Where there are no profiles it says so at this path, and there is none.
    pub fn with_samples(path: &str) -> Option<Self> {
        let server = Self::start();
        if !server.profiles() {
            assert_eq!(server.get(path).status_code, 501);
            return None;
        }
        server.sample();
        Some(server)
    }

    /// Without jemalloc there is no profile, without a feature neither.
    pub fn is_jemalloc(&self) -> bool {
        self.allocator.starts_with("jemalloc ")
    }

    pub fn profiles(&self) -> bool {
        self.is_jemalloc() && cfg!(feature = "profiling")
    }

    pub fn request(&self, method: minreq::Method, path: &str) -> minreq::Request {
        minreq::Request::new(method, format!("http://{}{path}", self.address)).with_timeout(600)
    }

    pub fn get(&self, path: &str) -> minreq::Response {
        self.request(minreq::Method::Get, path).send().unwrap()
    }

    pub fn post(&self, path: &str) -> minreq::Response {
        self.request(minreq::Method::Post, path).send().unwrap()
    }

    /// Samples until a MiB of the program's work, which holds 16, is in the profile.
    pub fn sample(&self) {
        assert_eq!(self.post("/profile/reset?lg_sample=12").status_code, 200);
        assert_eq!(json(&self.post("/profile/start"))["active"], true);
        let enough = (0..10_000).any(|_| held(&text(&self.get("/profile/heap"))) > 1 << 20);
        assert!(enough, "the program allocates all the time");
    }
}

/// The bytes in the second line of a profile: `  t*: objects: bytes [0: 0]`.
pub fn held(heap: &str) -> usize {
    let total = heap.lines().nth(1).unwrap();
    total.split([':', '[']).nth(2).unwrap().trim().parse().unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn text(response: &minreq::Response) -> String {
    assert_eq!(response.status_code, 200, "{:?}", response.as_str());
    response.as_str().unwrap().into()
}

pub fn json(response: &minreq::Response) -> Json {
    assert_eq!(response.headers["content-type"], "application/json");
    serde_json::from_str(&text(response)).unwrap()
}

/// The status of the answer that comes to a request already sent.
pub fn status(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().to_owned()
}

/// The function that the program's work is done in.
pub const FUNCTION: &str = "admin::answer";
