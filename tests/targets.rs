//! The allow-list stands in `Cargo.toml`, for Cargo, and in `src/decide.rs`, for the rule. For every target that rustc
//! knows and every cfg that counts, what Cargo would build is what the rule says, and by default both are what
//! `targets.tsv` says to a reader.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;
use std::{env, fs, thread};

use alloc_switch::decide::{decide, Artifact, Build, Reason, Target};
use alloc_switch::Choice;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn rustc() -> String {
    env::var("RUSTC").unwrap_or_else(|_| "rustc".into())
}

fn output(command: &mut Command) -> String {
    let out = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(out.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn triples() -> Vec<String> {
    let list = output(Command::new(rustc()).args(["--print", "target-list"]));
    list.lines().map(str::to_owned).collect()
}

/// What `rustc --print cfg` says of a target.
struct Facts {
    triple: String,
    cfg: BTreeMap<String, String>,
}

impl Facts {
    fn of(triple: &str) -> Self {
        let cfg = output(Command::new(rustc()).args(["--print", "cfg", "--target", triple]));
        let pairs = cfg.lines().filter_map(|line| line.split_once('='));
        let cfg = pairs
            .map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned()))
            .collect();
        Facts { triple: triple.to_owned(), cfg }
    }

    fn build(&self) -> Build<'_> {
        let get = |key: &str| self.cfg.get(key).map_or("", String::as_str);
        Build {
            cfg_system: false,
            cfg_jemalloc: false,
            feature_jemalloc: true,
            override_malloc: false,
            miri: false,
            fuzzing: false,
            sanitizer: false,
            prefer_dynamic: false,
            target: Target {
                triple: &self.triple,
                arch: get("target_arch"),
                vendor: get("target_vendor"),
                os: get("target_os"),
                env: get("target_env"),
                abi: get("target_abi"),
                endian: get("target_endian"),
            },
        }
    }
}

/// Whether Cargo would build jemalloc.
fn cargo_builds_jemalloc(triple: &str, args: &[&str], rustflags: &str) -> bool {
    let tree = output(
        Command::new(env!("CARGO"))
            .args([
                "tree",
                "--locked",
                "--edges",
                "normal",
                "--prefix",
                "none",
                "--package",
                "alloc-switch",
            ])
            .args(["--target", triple])
            .args(args)
            .current_dir(ROOT)
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("RUSTFLAGS", rustflags)
            // stable rustc shows cfg(sanitize) to nobody
            .env("RUSTC_BOOTSTRAP", if rustflags.contains("sanitize") { "1" } else { "0" }),
    );
    assert!(tree.starts_with("alloc-switch v"), "{tree}");
    tree.lines().any(|line| line.starts_with("tikv-jemalloc-sys v"))
}

/// Runs `check` for every triple, on every core, and reports all that it finds.
fn for_every_triple(check: impl Fn(&str) -> Vec<String> + Sync) {
    let (triples, next, wrong) = (triples(), AtomicUsize::new(0), Mutex::new(Vec::new()));
    assert!(triples.len() > 300, "{} triples", triples.len());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, |n| n.get()) {
            scope.spawn(|| {
                while let Some(triple) = triples.get(next.fetch_add(1, Ordering::Relaxed)) {
                    wrong.lock().unwrap().extend(check(triple));
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn cargo_builds_jemalloc_where_the_rule_wants_it() {
    /// How a variant changes the facts.
    type Change = fn(Build<'_>) -> Build<'_>;
    const SANITIZE: &str = r#"-A explicit_builtin_cfgs_in_flags --cfg sanitize="address""#;
    let variants: [(&[&str], &str, Change); 7] = [
        (&[], "", |b| b),
        (&["--no-default-features"], "", |b| Build { feature_jemalloc: false, ..b }),
        (&[], r#"--cfg alloc_switch="system""#, |b| Build { cfg_system: true, ..b }),
        (&[], r#"--cfg alloc_switch="jemalloc""#, |b| Build { cfg_jemalloc: true, ..b }),
        (&[], "--cfg miri", |b| Build { miri: true, ..b }),
        (&[], "--cfg fuzzing", |b| Build { fuzzing: true, ..b }),
        (&[], SANITIZE, |b| Build { sanitizer: true, ..b }),
    ];
    for_every_triple(|triple| {
        let facts = Facts::of(triple);
        let mut wrong = Vec::new();
        for (args, rustflags, change) in variants {
            let mut build = change(facts.build());
            // The one thing that the rule sees and Cargo does not.
            if build.target.has_sanitizer() {
                assert!(build.veto().is_some(), "{triple}");
                build.target.triple = "";
            }
            let (rule, cargo) =
                (build.veto().is_none(), cargo_builds_jemalloc(triple, args, rustflags));
            if rule != cargo {
                wrong.push(format!(
                    "{triple} {args:?} {rustflags}: the rule says {rule}, Cargo {cargo}"
                ));
            }
        }
        wrong
    });
}

#[test]
fn the_default_is_what_the_table_says() {
    let table = fs::read_to_string(format!("{ROOT}/tests/targets.tsv")).unwrap();
    let mut rows = BTreeMap::new();
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (triple, row) = line.split_once('\t').expect("triple, tab, allocator, tab, reason");
        assert!(rows.insert(triple, row).is_none(), "{triple} stands twice in targets.tsv");
    }
    for_every_triple(|triple| {
        let choice = Choice::new(decide(
            None,
            Facts::of(triple).build().veto(),
            false,
            false,
            Artifact::Executable,
        ));
        let allocator = if choice.is_jemalloc() { "jemalloc" } else { "system" };
        let rule = format!("{allocator}\t{}", choice.reason().as_str());
        let row = rows.get(triple).copied().unwrap_or("missing");
        if row == rule {
            vec![]
        } else {
            vec![format!("{triple}: targets.tsv says {row}, the rule {rule}")]
        }
    });
    assert_eq!(
        rows.len(),
        triples().len(),
        "targets.tsv has rows for targets that rustc does not know"
    );
}

/// `Cargo.toml` has to list the sanitizers one by one.
#[test]
fn every_sanitizer_takes_jemalloc_out() {
    let help = Command::new(rustc())
        .args(["-Zsanitizer=help", "-"])
        .env("RUSTC_BOOTSTRAP", "1")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stderr).unwrap();
    let (_, names) =
        help.split_once("comma separated list of sanitizers:").expect("rustc names its sanitizers");
    let names: Vec<&str> = names
        .split(['`', '\''])
        .filter(|n| n.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect();
    assert!(
        names.contains(&"address") && names.contains(&"thread") && names.len() > 10,
        "{names:?}"
    );
    for name in names {
        let rustflags = format!("-A explicit_builtin_cfgs_in_flags --cfg sanitize=\"{name}\"");
        assert!(!cargo_builds_jemalloc("x86_64-unknown-linux-gnu", &[], &rustflags), "{name}");
    }
}

#[test]
fn the_sanitizer_of_a_triple_is_seen() {
    let facts = Facts::of("x86_64-unknown-linux-gnuasan");
    assert_eq!(facts.build().veto(), Some(Reason::Sanitizer));
    assert!(
        !facts.cfg.contains_key("sanitize"),
        "stable rustc shows cfg(sanitize) now: Cargo.toml alone would do"
    );
}
