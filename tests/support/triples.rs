//! Every triple that rustc knows with the cfg that rustc states for it, and predicates evaluated
//! over them in this process by Cargo's own crate, instead of by a thousand calls of Cargo.

#![allow(dead_code)] // each test program uses its part

use std::process::Command;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::{env, thread};

use alloc_switch::rule::{Build, Target};
use cargo_platform::{Cfg, Platform};

pub fn rustc() -> String {
    env::var("RUSTC").unwrap_or_else(|_| "rustc".into())
}

pub fn output(command: &mut Command) -> String {
    let out = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(out.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// A target, and what `rustc --print cfg` says of it.
pub struct Facts {
    pub triple: String,
    pub cfg: Vec<Cfg>,
}

impl Facts {
    fn of(triple: &str) -> Self {
        let cfg = output(Command::new(rustc()).args(["--print", "cfg", "--target", triple]));
        let cfg = cfg.lines().map(|line| Cfg::from_str(line).unwrap()).collect();
        Facts { triple: triple.to_owned(), cfg }
    }

    /// The value of a key that has one, such as `target_os`; empty without.
    pub fn get(&self, key: &str) -> &str {
        self.cfg
            .iter()
            .find_map(|cfg| match cfg {
                Cfg::KeyPair(name, value) if name == key => Some(value.as_str()),
                _ => None,
            })
            .unwrap_or("")
    }

    /// Whether a predicate or a triple holds, as in `[target.'…'.dependencies]`, with `more` cfg.
    pub fn matches(&self, platform: &Platform, more: &[Cfg]) -> bool {
        platform.matches(&self.triple, &[&self.cfg, more].concat())
    }

    /// What the rule is told of a plain build for this target.
    pub fn build(&self) -> Build<'_> {
        Build {
            cfg_system: false,
            cfg_jemalloc: false,
            feature_jemalloc: true,
            override_malloc: false,
            miri: false,
            kani: false,
            fuzzing: false,
            sanitizer: false,
            prefer_dynamic: false,
            target: Target {
                triple: &self.triple,
                arch: self.get("target_arch"),
                vendor: self.get("target_vendor"),
                os: self.get("target_os"),
                env: self.get("target_env"),
                abi: self.get("target_abi"),
                endian: self.get("target_endian"),
            },
        }
    }
}

/// Every triple in the order of `rustc --print target-list`, asked for once, on every core.
pub fn triples() -> &'static [Facts] {
    static TRIPLES: OnceLock<Vec<Facts>> = OnceLock::new();
    TRIPLES.get_or_init(|| {
        let list = output(Command::new(rustc()).args(["--print", "target-list"]));
        let list: Vec<_> = list.lines().collect();
        assert!(list.len() > 300, "{} triples", list.len());
        let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(1, |n| n.get()) {
                scope.spawn(|| {
                    while let Some(triple) = list.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let facts = Facts::of(triple);
                        found.lock().unwrap().push(facts);
                    }
                });
            }
        });
        let mut found = found.into_inner().unwrap();
        found.sort_by_key(|facts| list.iter().position(|triple| *triple == facts.triple));
        found
    })
}

pub fn triple(name: &str) -> &'static Facts {
    let found = triples().iter().find(|facts| facts.triple == name);
    found.unwrap_or_else(|| panic!("rustc does not know {name}"))
}
