//! Every triple that rustc knows with the cfg that rustc states for it, and predicates evaluated
//! over them in this process by Cargo's own crate, instead of by a thousand calls of Cargo.

use std::process::Command;
use std::str::FromStr;
use std::sync::OnceLock;
use std::{env, thread};

use cargo_platform::{Cfg, Platform};

use crate::rule::{BuildFacts, Target};

/// What `rustc --print …` says.
fn print(arguments: &[&str]) -> String {
    let rustc = env::var_os("RUSTC").unwrap_or("rustc".into());
    let out = Command::new(rustc).arg("--print").args(arguments).output().unwrap();
    assert!(out.status.success(), "{arguments:?}\n{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// A target, and what `rustc --print cfg` says of it.
#[derive(Clone)]
pub struct Facts {
    pub triple: String,
    pub cfg: Vec<Cfg>,
}

impl Facts {
    fn of(triple: &str) -> Self {
        let cfg = print(&["cfg", "--target", triple]);
        let cfg = cfg.lines().map(|line| Cfg::from_str(line).unwrap()).collect();
        Facts { triple: triple.to_owned(), cfg }
    }

    /// The value of a key that has one, such as `target_os`; empty without.
    pub fn get(&self, key: &str) -> &str {
        let value = self.cfg.iter().find_map(|cfg| match cfg {
            Cfg::KeyPair(name, value) if name == key => Some(value.as_str()),
            _ => None,
        });
        value.unwrap_or("")
    }

    /// The same target by another vendor, as the compiler of a distribution states it.
    pub fn by_vendor(&self, vendor: &str) -> Self {
        let cfg = self.cfg.iter().filter(|cfg| match cfg {
            Cfg::KeyPair(name, _) => name != "target_vendor",
            Cfg::Name(_) => true,
        });
        let vendor = Cfg::KeyPair("target_vendor".into(), vendor.into());
        Facts { triple: self.triple.clone(), cfg: cfg.cloned().chain([vendor]).collect() }
    }

    /// Whether a predicate or a triple holds, as in `[target.'…'.dependencies]`, with `more` cfg.
    pub fn matches(&self, platform: &Platform, more: &[Cfg]) -> bool {
        platform.matches(&self.triple, &[&self.cfg, more].concat())
    }

    pub fn target(&self) -> Target<'_> {
        Target {
            triple: &self.triple,
            arch: self.get("target_arch"),
            vendor: self.get("target_vendor"),
            os: self.get("target_os"),
            env: self.get("target_env"),
            abi: self.get("target_abi"),
            endian: self.get("target_endian"),
        }
    }

    /// What the rule is told of a plain build for this target.
    pub fn build(&self) -> BuildFacts {
        BuildFacts {
            cfg_system: false,
            cfg_jemalloc: false,
            feature_jemalloc: true,
            miri: false,
            kani: false,
            fuzzing: false,
            sanitizer: self.target().has_sanitizer(),
            prefer_dynamic: false,
            target_allowed: self.target().is_listed(),
        }
    }
}

/// Every triple in the order of `rustc --print target-list`, asked for once, on every core.
pub fn triples() -> &'static [Facts] {
    static TRIPLES: OnceLock<Vec<Facts>> = OnceLock::new();
    TRIPLES.get_or_init(|| {
        let list = print(&["target-list"]);
        let list: Vec<_> = list.lines().collect();
        assert!(list.len() > 300, "{} triples", list.len());
        let cores = thread::available_parallelism().map_or(1, |n| n.get());
        let all_of = |part: &[&str]| part.iter().map(|triple| Facts::of(triple)).collect();
        thread::scope(|scope| {
            let parts = list.chunks(list.len().div_ceil(cores));
            let parts: Vec<_> = parts.map(|part| scope.spawn(|| all_of(part))).collect();
            parts.into_iter().flat_map(|part| -> Vec<_> { part.join().unwrap() }).collect()
        })
    })
}

pub fn triple(name: &str) -> &'static Facts {
    let found = triples().iter().find(|facts| facts.triple == name);
    found.unwrap_or_else(|| panic!("rustc does not know {name}"))
}
