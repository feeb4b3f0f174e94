//! Builds one small package as every kind of artifact that Cargo knows, and shows which allocator
//! each got:
//!
//! ```text
//! cargo run --release --example artifacts
//! ```
//!
//! Each cell comes from the file that was built or from running it. Exit status: 1 if an artifact
//! contradicts the policy, or if something cannot be built or run. It needs a Unix host, and `cc`
//! as the host of the libraries; `CC` names another.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

use alloc_inspect::{Kind, Report};
use alloc_switch::{Choice, Reason};
use serde_json::Value;

/// This program is an executable too, and what holds for a whole build (the target, a cfg, a
/// feature) holds for it.
const HERE: Choice = alloc_switch::choice!();

/// What the features of this build are, so that the package is built with the same, and with the
/// same jemalloc.
const FEATURES: [(&str, bool); 7] = [
    ("jemalloc", cfg!(feature = "jemalloc")),
    ("jemalloc-in-libraries", cfg!(feature = "jemalloc-in-libraries")),
    ("override-malloc", cfg!(feature = "override-malloc")),
    ("stats", cfg!(feature = "stats")),
    ("profiling", cfg!(feature = "profiling")),
    ("debug", cfg!(feature = "debug")),
    // asks the running process
    ("handle", true),
];

const FILES: [(&str, &str); 14] = [
    ("Cargo.toml", include_str!("package/manifest.toml")),
    ("Cargo.lock", include_str!("../../Cargo.lock")),
    ("report.rs", include_str!("package/report.rs")),
    ("src/main.rs", include_str!("package/main.rs")),
    ("src/lib.rs", include_str!("package/lib.rs")),
    ("examples/example.rs", include_str!("package/program.rs")),
    ("tests/integration.rs", include_str!("package/integration.rs")),
    ("benches/bench.rs", include_str!("package/program.rs")),
    ("macro/Cargo.toml", include_str!("package/macro.toml")),
    ("macro/src/lib.rs", include_str!("package/macro.rs")),
    ("macro-user/Cargo.toml", include_str!("package/macro-user.toml")),
    ("macro-user/src/main.rs", include_str!("package/macro-user.rs")),
    ("host.c", include_str!("package/host.c")),
    (".gitignore", "*\n"),
];

/// How an artifact is asked what it is.
enum Ask {
    /// It is a program.
    Run,
    /// It is a test program.
    RunTests,
    /// A program that was not linked to it loads it.
    Load,
    /// A C program is linked to it.
    Link,
    /// It has spoken while rustc compiled a program, which repeats it.
    Expand,
}

/// Name, what to ask of Cargo, the kind of target to take from what it built (for a test or
/// benchmark it builds the binary too), and how to ask it.
const ARTIFACTS: [(&str, &[&str], &str, Ask); 10] = [
    ("bin", &["build", "--bin", "every-artifact"], "bin", Ask::Run),
    ("example", &["build", "--example", "example"], "example", Ask::Run),
    ("unit test (bin)", &["test", "--no-run", "--bin", "every-artifact"], "bin", Ask::RunTests),
    ("unit test (lib)", &["test", "--no-run", "--lib"], "lib", Ask::RunTests),
    ("integration test", &["test", "--no-run", "--test", "integration"], "test", Ask::RunTests),
    ("bench", &["bench", "--no-run", "--bench", "bench"], "bench", Ask::Run),
    ("cdylib", &["rustc", "--lib", "--crate-type", "cdylib"], "cdylib", Ask::Load),
    ("dylib", &["rustc", "--lib", "--crate-type", "dylib"], "dylib", Ask::Load),
    ("staticlib", &["rustc", "--lib", "--crate-type", "staticlib"], "staticlib", Ask::Link),
    ("proc-macro", &["build", "--package", "every-artifact-macro-user"], "proc-macro", Ask::Expand),
];

struct Row {
    artifact: String,
    allocator: String,
    reason: String,
    holds: String,
    says: String,
    contradiction: Option<String>,
}

fn main() -> ExitCode {
    match table() {
        Ok(rows) => {
            print(&rows);
            let contradictions =
                rows.iter().filter_map(|r| Some((&r.artifact, r.contradiction.as_ref()?)));
            let wrong = contradictions
                .map(|(artifact, why)| eprintln!("artifacts: {artifact}: {why}"))
                .count();
            ExitCode::from(u8::from(wrong > 0))
        }
        Err(sentence) => {
            eprintln!("artifacts: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn table() -> Result<Vec<Row>, String> {
    if !cfg!(unix) {
        return Err("the hosts of the libraries are C programs for Unix".into());
    }
    let mut workshop = Workshop::set_up()?;
    let mut rows = Vec::new();
    for (name, args, kind, ask) in &ARTIFACTS {
        let is_library = matches!(ask, Ask::Load | Ask::Link | Ask::Expand);
        let built = workshop.cargo(args, kind)?;
        let found = read(&built.file)?;
        let said = match ask {
            Ask::Run => run(&mut Command::new(&built.file))?,
            Ask::RunTests => run(Command::new(&built.file).arg("--nocapture"))?,
            Ask::Expand => run(&mut Command::new(&built.program))?,
            Ask::Load => {
                let host = workshop.cc("loader", &["-ldl".as_ref()])?;
                run(Command::new(host).arg(&built.file))?
            }
            Ask::Link => {
                let mut args: Vec<&OsStr> = vec!["-DLINKED".as_ref(), built.file.as_ref()];
                args.extend(built.native_libraries.iter().map(OsStr::new));
                let host = workshop.cc("linked", &args)?;
                let said = run(&mut Command::new(&host))?;
                rows.push(Row::new(name, is_library, &found, &said)?);
                rows.push(Row::new("C program with it", is_library, &read(&host)?, &said)?);
                continue;
            }
        };
        rows.push(Row::new(name, is_library, &found, &said)?);
    }
    Ok(rows)
}

impl Row {
    /// Puts what the file holds beside what the process said, and looks for contradictions: between
    /// the two, and with the policy.
    fn new(artifact: &str, is_library: bool, found: &Report, said: &str) -> Result<Row, String> {
        let line = said.split_once("every-artifact: ").and_then(|(_, rest)| rest.lines().next());
        let (choice, says) = line
            .and_then(|line| line.split_once("; "))
            .ok_or(format!("{artifact}: it does not say which allocator it has, but: {said}"))?;
        let (allocator, reason) = choice
            .split_once(" (")
            .and_then(|(allocator, reason)| Some((allocator, reason.strip_suffix(')')?)))
            .ok_or(format!("{artifact}: not a choice and its reason: {choice}"))?;

        let (wanted, wants_jemalloc) = match HERE.reason() {
            Reason::Executable if artifact == "proc-macro" => {
                (format!("system ({})", Reason::ProcMacro.as_str()), false)
            }
            Reason::Executable if is_library => {
                (format!("system ({})", Reason::Library.as_str()), false)
            }
            _ => (HERE.to_string(), HERE.is_jemalloc()),
        };
        // rustc puts all objects of a dependency into an archive; what counts is what a program
        // takes out.
        let holds_jemalloc = found.has_jemalloc() && found.kind != Kind::Archive;
        let contradiction = if choice != wanted {
            Some(format!("it should be {wanted}"))
        } else if holds_jemalloc && !wants_jemalloc {
            Some("the file should hold no jemalloc".into())
        } else if !found.has_jemalloc() && wants_jemalloc {
            Some("the file should hold jemalloc".into())
        } else if says != "self-check passed" {
            Some("the running process should agree".into())
        } else {
            None
        };
        let mut holds = found.to_string();
        if found.has_jemalloc() && !holds_jemalloc && !wants_jemalloc {
            holds.push_str(" (unused, see below)");
        }
        Ok(Row {
            artifact: artifact.into(),
            allocator: allocator.into(),
            reason: reason.into(),
            holds,
            says: says.into(),
            contradiction,
        })
    }
}

fn print(rows: &[Row]) {
    let mut lines = vec![[
        "artifact",
        "allocator chosen",
        "reason",
        "what the file holds",
        "what the running process says",
    ]
    .map(str::to_owned)];
    for row in rows {
        lines.push(
            [&row.artifact, &row.allocator, &row.reason, &row.holds, &row.says].map(String::clone),
        );
    }
    let widths: Vec<usize> =
        (0..5).map(|i| lines.iter().map(|l| l[i].chars().count()).max().unwrap_or(0)).collect();
    let rule = widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>().join("-|-");
    for (number, line) in lines.iter().enumerate() {
        let cells: Vec<String> =
            line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        println!("{}", cells.join(" | ").trim_end());
        if number == 0 {
            println!("{rule}");
        }
    }
}

/// The folder with the package, and how to build in it.
struct Workshop {
    folder: PathBuf,
    target: PathBuf,
    release: bool,
    /// The jemalloc that Cargo has built.
    jemalloc: Option<PathBuf>,
}

struct Built {
    file: PathBuf,
    /// The program that was built last, which is the file itself unless that is a library.
    program: PathBuf,
    /// What rustc says a static library has to be linked with.
    native_libraries: Vec<String>,
}

impl Workshop {
    fn set_up() -> Result<Workshop, String> {
        // target/PROFILE/examples/artifacts
        let exe = env::current_exe().map_err(|e| e.to_string())?;
        let mut above = exe.ancestors().skip(2);
        let (Some(profile), Some(target)) = (above.next(), above.next()) else {
            return Err(format!("{} is in no target directory of Cargo", exe.display()));
        };
        let workshop = Workshop {
            folder: target.join("every-artifact"),
            target: target.to_owned(),
            release: !profile.ends_with("debug"),
            jemalloc: None,
        };
        let features: Vec<String> = FEATURES
            .iter()
            .filter(|(_, on)| *on)
            .map(|(feature, _)| format!("{feature:?}"))
            .collect();
        for (name, text) in FILES {
            let path = workshop.folder.join(name);
            let text = text
                .replace("@ALLOC_SWITCH@", &env!("CARGO_MANIFEST_DIR").replace('\\', "/"))
                .replace("@FEATURES@", &features.join(", "));
            // Cargo goes by the time of the last change.
            if fs::read_to_string(&path).ok().as_ref() == Some(&text) {
                continue;
            }
            let write = || {
                fs::create_dir_all(path.parent().unwrap_or(&path))?;
                fs::write(&path, &text)
            };
            write().map_err(|e| format!("{}: {e}", path.display()))?;
        }
        Ok(workshop)
    }

    /// Builds, and picks the artifact of that kind.
    fn cargo(&mut self, args: &[&str], kind: &str) -> Result<Built, String> {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // One target directory, so that jemalloc is compiled once.
        cargo.current_dir(&self.folder).env("CARGO_TARGET_DIR", &self.target);
        cargo.args(args).args(["--message-format", "json"]);
        if self.release && args[0] != "bench" {
            cargo.arg("--release");
        }
        match (kind, &self.jemalloc) {
            ("staticlib", _) => _ = cargo.args(["--", "--print", "native-static-libs"]),
            // Cargo would compile jemalloc again, unoptimised, for the dependencies of a macro,
            // which does not link it.
            ("proc-macro", Some(jemalloc)) => _ = cargo.env("JEMALLOC_OVERRIDE", jemalloc),
            _ => {}
        }
        let out = cargo.stderr(Stdio::inherit()).output().map_err(|e| format!("{cargo:?}: {e}"))?;

        let (mut file, mut program, mut native_libraries) = (None, PathBuf::new(), Vec::new());
        for line in String::from_utf8_lossy(&out.stdout).lines() {
            let message: Value =
                serde_json::from_str(line).map_err(|e| format!("Cargo said {line}: {e}"))?;
            match message["reason"].as_str() {
                Some("compiler-message") => {
                    let text = message["message"]["message"].as_str().unwrap_or_default();
                    match text.strip_prefix("native-static-libs: ") {
                        Some(flags) => {
                            native_libraries = flags.split_whitespace().map(str::to_owned).collect()
                        }
                        None if message["message"]["level"] == "note" => {}
                        None => {
                            eprint!("{}", message["message"]["rendered"].as_str().unwrap_or(text))
                        }
                    }
                }
                Some("compiler-artifact") if self.is_ours(&message) => {
                    let executable = message["executable"].as_str();
                    if message["target"]["kind"][0] == kind {
                        file = executable.or(message["filenames"][0].as_str()).map(PathBuf::from);
                    }
                    if let Some(executable) = executable {
                        program = executable.into();
                    }
                }
                Some("build-script-executed") if self.jemalloc.is_none() => {
                    let folder = message["linked_paths"][0]
                        .as_str()
                        .and_then(|path| path.strip_prefix("native="));
                    let archive = folder.map(|folder| Path::new(folder).join("libjemalloc_pic.a"));
                    self.jemalloc = archive.filter(|archive| archive.exists());
                }
                _ => {}
            }
        }
        if !out.status.success() {
            return Err(format!("cargo {} failed", args.join(" ")));
        }
        let file = file.ok_or(format!("cargo {} built no {kind}", args.join(" ")))?;
        Ok(Built { file, program, native_libraries })
    }

    fn is_ours(&self, artifact: &Value) -> bool {
        artifact["manifest_path"]
            .as_str()
            .is_some_and(|path| Path::new(path).starts_with(&self.folder))
    }

    /// Compiles the host of a library.
    fn cc(&self, name: &str, args: &[&OsStr]) -> Result<PathBuf, String> {
        let program = self.folder.join(name);
        let mut cc = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()));
        cc.arg("-o").arg(&program).arg(self.folder.join("host.c")).args(args);
        let status = cc.status().map_err(|e| format!("a C compiler is needed: {cc:?}: {e}"))?;
        if !status.success() {
            return Err(format!("{cc:?} failed"));
        }
        Ok(program)
    }
}

fn read(path: &Path) -> Result<Report, String> {
    let bytes = fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    alloc_inspect::inspect(&bytes).map_err(|e| format!("{}: {e}", path.display()))
}

fn run(command: &mut Command) -> Result<String, String> {
    let out = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if !out.status.success() {
        return Err(format!(
            "{command:?}: {}: {}",
            out.status,
            String::from_utf8_lossy(&out.stderr)
        ));
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}
