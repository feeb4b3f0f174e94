//! The programs: what each is, where it comes from, and what it is given to do.

use crate::inputs::{self, Make};

pub struct Program {
    pub name: &'static str,
    pub what: &'static str,
    pub source: Source,
    /// `VARIABLE=VALUE` first, then arguments. `{input}`, `{out}` (a path for what it writes),
    /// `{threads}` and `{port}` are filled in.
    pub command: &'static str,
    pub input: Make,
    /// What `input` makes at each of the three sizes.
    pub sizes: [usize; 3],
    /// The client that loads a server.
    pub client: Option<Client>,
}

pub enum Source {
    /// Package, version, binary, and features instead of the default ones.
    Registry(&'static str, &'static str, &'static str, &'static str),
    /// A binary in `drivers`, which has a feature of the same name.
    Driver(&'static str),
}

/// How a client is called; `{port}` and `{input}` are filled in. Both print what they measured.
#[derive(Clone, Copy)]
pub enum Client {
    RedisBenchmark(&'static str),
    Wrk(&'static str),
}

/// More work at once than a server has on other days, to see what it holds when it is idle again.
pub struct Burst {
    pub server: &'static str,
    pub what: &'static str,
    pub command: &'static str,
    pub input: Make,
    pub size: usize,
    /// A second of small requests before it, on one connection.
    pub warm_up: Client,
    pub client: Client,
}

/// When memory is looked at after a burst: seconds.
pub const LOOKS: [u64; 4] = [10, 15, 30, 120];

pub const BURSTS: &[Burst] = &[
    Burst {
        server: "axum",
        what: "64 clients send arrays of 250 to 4,000 people",
        command: "{port}",
        input: inputs::wrk_people,
        size: 16,
        warm_up: Client::Wrk("-c 1 -d 1s http://127.0.0.1:{port}/notes/1"),
        client: Client::Wrk("-c 64 --timeout 60s -s {input} http://127.0.0.1:{port}"),
    },
    Burst {
        server: "dufs",
        what: "256 clients have a directory of ten files zipped",
        command: "--bind 127.0.0.1 --port {port} --allow-archive {input}",
        input: inputs::rust_tree,
        size: 10,
        warm_up: Client::Wrk("-c 1 -d 1s http://127.0.0.1:{port}/?json"),
        client: Client::Wrk("-c 256 --timeout 60s http://127.0.0.1:{port}/?zip"),
    },
];

impl Program {
    pub fn takes_threads(&self) -> bool {
        self.command.contains("{threads}")
    }

    pub fn is_server(&self) -> bool {
        self.client.is_some()
    }
}

/// Half of the programs, and half of the servers, choose options; the others report. Which half a
/// program is in was decided by its name, before anything was measured.
pub fn chooses(name: &str) -> bool {
    let is_server = |name: &str| ALL.iter().any(|p| p.name == name && p.is_server());
    let mut alike: Vec<&str> = ALL.iter().map(|program| program.name).collect();
    alike.retain(|other| is_server(other) == is_server(name));
    alike.sort_by_key(|name| fnv1a(name));
    alike.iter().position(|other| *other == name).unwrap() < alike.len() / 2
}

/// The hash of Fowler, Noll and Vo: the same in every version of every compiler.
fn fnv1a(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

pub const ALL: &[Program] = &[
    Program {
        name: "jaq",
        what: "queries JSON",
        source: Source::Registry("jaq", "3.1.2", "jaq", ""),
        command: "[.[]|select(.age>40)]|group_by(.city)|\
                  map({city:.[0].city,n:length,tags:map(.tags)|add|unique}) {input}",
        input: inputs::json,
        sizes: [4_000, 16_000, 64_000],
        client: None,
    },
    Program {
        name: "tokei",
        what: "counts lines of code",
        source: Source::Registry("tokei", "15.0.0", "tokei", "cli"),
        command: "RAYON_NUM_THREADS={threads} --no-ignore {input}",
        input: inputs::rust_tree,
        sizes: [2_000, 8_000, 32_000],
        client: None,
    },
    Program {
        name: "comrak",
        what: "renders Markdown",
        source: Source::Registry("comrak", "0.59.0", "comrak", "cli"),
        command: "--gfm {input}",
        input: inputs::markdown,
        sizes: [4_000, 16_000, 64_000],
        client: None,
    },
    Program {
        name: "fd",
        what: "finds files by name",
        source: Source::Registry("fd-find", "10.5.0", "fd", ""),
        command: "--unrestricted --threads {threads} 1[0-9]*[.]rs {input}",
        input: inputs::empty_tree,
        sizes: [16_000, 64_000, 256_000],
        client: None,
    },
    Program {
        name: "ripgrep",
        what: "searches files",
        source: Source::Registry("ripgrep", "15.2.0", "rg", ""),
        command: "--no-config --no-ignore --threads {threads} --line-number --column \
                  fn.\\w+r\\w+\\( {input}",
        input: inputs::rust_tree,
        sizes: [2_000, 8_000, 32_000],
        client: None,
    },
    Program {
        name: "grass",
        what: "compiles Sass to CSS",
        source: Source::Registry("grass", "0.13.4", "grass", "commandline"),
        command: "{input}",
        input: inputs::scss,
        sizes: [600, 2_400, 9_600],
        client: None,
    },
    Program {
        name: "xsv",
        what: "counts the values in columns of CSV",
        source: Source::Registry("xsv", "0.13.0", "xsv", ""),
        command: "frequency --limit 0 {input}",
        input: inputs::csv,
        sizes: [50_000, 200_000, 800_000],
        client: None,
    },
    Program {
        name: "rhai",
        what: "interprets a script",
        source: Source::Registry("rhai", "1.27.0", "rhai-run", "default"),
        command: "{input}",
        input: inputs::rhai,
        sizes: [10_000, 40_000, 160_000],
        client: None,
    },
    Program {
        name: "sqlparser",
        what: "parses SQL and prints it",
        source: Source::Driver("sqlparser"),
        command: "{input}",
        input: inputs::sql,
        sizes: [600, 2_500, 10_000],
        client: None,
    },
    Program {
        name: "oxc",
        what: "parses JavaScript and prints it",
        source: Source::Driver("oxc"),
        command: "{input}",
        input: inputs::javascript_tree,
        sizes: [1_000, 4_000, 16_000],
        client: None,
    },
    Program {
        name: "rust-analyzer",
        what: "parses Rust with rust-analyzer's parser",
        source: Source::Driver("rust-analyzer"),
        command: "{input} {threads}",
        input: inputs::rust_tree,
        sizes: [250, 1_000, 4_000],
        client: None,
    },
    Program {
        name: "arrow",
        what: "reads CSV into columns and sorts it",
        source: Source::Driver("arrow"),
        command: "{input}",
        input: inputs::csv,
        sizes: [50_000, 200_000, 800_000],
        client: None,
    },
    Program {
        name: "tantivy",
        what: "makes a full-text index",
        source: Source::Driver("tantivy"),
        command: "{input} {out} {threads}",
        input: inputs::lines,
        sizes: [10_000, 40_000, 160_000],
        client: None,
    },
    Program {
        name: "mini-redis",
        what: "a server that keeps keys and values",
        source: Source::Registry("mini-redis", "0.4.1", "mini-redis-server", ""),
        command: "--port {port}",
        input: inputs::nothing,
        sizes: [1, 1, 1],
        client: Some(Client::RedisBenchmark("-t set,get -n 400000 -c 50 -r 50000 -d 300")),
    },
    Program {
        name: "axum",
        what: "a service that keeps JSON",
        source: Source::Driver("axum"),
        command: "{port}",
        input: inputs::wrk_notes,
        sizes: [1, 1, 1],
        client: Some(Client::Wrk("-s {input} http://127.0.0.1:{port}")),
    },
    Program {
        name: "dufs",
        what: "a file server, asked for listings",
        source: Source::Registry("dufs", "0.47.0", "dufs", ""),
        command: "--bind 127.0.0.1 --port {port} {input}",
        input: inputs::rust_tree,
        sizes: [200, 200, 200],
        client: Some(Client::Wrk("http://127.0.0.1:{port}/?json")),
    },
];
