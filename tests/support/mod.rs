//! Builds fixture packages with real Cargo, and runs what comes out. jemalloc is compiled once for
//! each of its configurations: where Cargo builds it, in the target directory of `cargo test`.

#![allow(dead_code)] // each test program uses its part

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::{env, fs};

use serde_json::Value;

pub(crate) use crate::ROOT;

/// Cargo overwrites `target/debug/NAME` when NAME is built another way, so building and taking the
/// file away is one step; for each target directory a lock of its own.
static BUILDING: Mutex<BTreeMap<String, &'static Mutex<()>>> = Mutex::new(BTreeMap::new());

/// A call of Cargo on a fixture.
#[derive(Clone)]
pub struct Fixture {
    command: &'static str,
    args: Vec<String>,
    rustc_args: Vec<String>,
    env: Vec<(String, String)>,
    rustflags: String,
    toolchain: Option<&'static str>,
}

/// `cargo build --package NAME`
pub fn fixture(name: &str) -> Fixture {
    Fixture {
        command: "build",
        args: vec!["--package".into(), name.into()],
        rustc_args: vec![],
        env: vec![],
        rustflags: String::new(),
        toolchain: None,
    }
}

impl Fixture {
    pub fn command(mut self, command: &'static str) -> Self {
        self.command = command;
        self
    }

    pub fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.args.extend(args.into_iter().map(str::to_owned));
        self
    }

    /// `cargo rustc`, and what it hands to rustc for the package itself.
    pub fn rustc<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.rustc_args.extend(args.into_iter().map(str::to_owned));
        self.command("rustc")
    }

    pub fn features(self, features: &str) -> Self {
        self.args(["--features", features])
    }

    pub fn env(mut self, key: &str, value: impl Into<String>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    pub fn rustflags(mut self, flags: &str) -> Self {
        self.rustflags.push_str(flags);
        self
    }

    pub fn toolchain(mut self, toolchain: &'static str) -> Self {
        self.toolchain = Some(toolchain);
        self
    }

    /// Links a jemalloc that is already built, because other rustc flags alone do not make it
    /// another one. It has a target directory of its own: next to the one that Cargo builds it
    /// would be built anew each time the two alternate, and apart it need not wait. With `--target`
    /// build scripts are not compiled for each set of flags.
    pub fn prebuilt_jemalloc(self, archive: &Path) -> Self {
        let archive = archive.to_str().unwrap();
        let apart = match self.variable("CARGO_TARGET_DIR") {
            Some(_) => self,
            None => self.env("CARGO_TARGET_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/prebuilt")),
        };
        apart.args(["--target", host()]).env("JEMALLOC_OVERRIDE", archive)
    }

    fn cargo(&self) -> Command {
        // A toolchain is rustup's to find; otherwise the Cargo that runs the tests is the one to
        // use.
        let mut cargo = match self.toolchain {
            Some(toolchain) => {
                let mut cargo = Command::new("cargo");
                cargo
                    .arg(format!("+{toolchain}"))
                    .env_remove("RUSTUP_TOOLCHAIN")
                    .env_remove("RUSTC")
                    .env_remove("CARGO");
                cargo
            }
            None => Command::new(env!("CARGO")),
        };
        cargo.current_dir(ROOT).arg(self.command).args(&self.args);
        if !self.rustc_args.is_empty() {
            cargo.arg("--").args(&self.rustc_args);
        }
        for unset in
            ["CARGO_ENCODED_RUSTFLAGS", "JEMALLOC_OVERRIDE", "MALLOC_CONF", "_RJEM_MALLOC_CONF"]
        {
            cargo.env_remove(unset);
        }
        // With these features jemalloc is built once more, and its speed is not what is tested.
        let features = self.argument("--features");
        if ["override-malloc", "jemalloc-in-libraries"]
            .iter()
            .any(|feature| features.is_some_and(|features| features.contains(feature)))
        {
            cargo.env("EXTRA_CFLAGS", "-g0 -O1");
        }
        cargo.env("RUSTFLAGS", &self.rustflags).envs(self.env.iter().cloned());
        cargo
    }

    /// What follows this argument of Cargo's.
    fn argument(&self, name: &str) -> Option<&String> {
        self.args.iter().skip_while(|arg| *arg != name).nth(1)
    }

    fn variable(&self, name: &str) -> Option<&String> {
        self.env.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Builds into different target directories need not wait for each other.
    fn lock(&self) -> MutexGuard<'static, ()> {
        let directory = self.variable("CARGO_TARGET_DIR").cloned().unwrap_or_default();
        let mut building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = *building.entry(directory).or_insert_with(|| Box::leak(Box::default()));
        drop(building);
        lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cargo's own output, for `cargo tree` and for builds that are expected to fail.
    pub fn output(&self) -> Output {
        let mut cargo = self.cargo();
        let _one_at_a_time = self.lock();
        cargo.output().unwrap_or_else(|e| panic!("{cargo:?}: {e}"))
    }

    fn messages(&self) -> (bool, Vec<Value>, String) {
        let out = self.clone().args(["--message-format", "json"]).output();
        let stdout = String::from_utf8(out.stdout).unwrap();
        let messages = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (out.status.success(), messages, String::from_utf8_lossy(&out.stderr).into_owned())
    }

    /// Builds, and takes what was built to a folder of its own.
    pub fn build(&self) -> Built {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!(
            "{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        ));
        let out = self.clone().args(["--message-format", "json-render-diagnostics"]);
        let mut cargo = out.cargo();
        let _one_at_a_time = self.lock();
        let out = cargo.output().unwrap_or_else(|e| panic!("{cargo:?}: {e}"));
        assert!(out.status.success(), "{cargo:?}\n{}", String::from_utf8_lossy(&out.stderr));
        let messages = String::from_utf8(out.stdout).unwrap();
        let messages: Vec<Value> =
            messages.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        fs::create_dir_all(&folder).unwrap();
        let mut files = Vec::new();
        for message in messages.iter().filter(|m| m["reason"] == "compiler-artifact") {
            let package = message["package_id"].as_str().unwrap();
            if !package.contains("/tests/fixtures/") {
                continue;
            }
            for file in message["filenames"].as_array().unwrap() {
                let file = Path::new(file.as_str().unwrap());
                // A dylib is looked for under the name it was built with.
                let to = folder.join(file.file_name().unwrap());
                copy(file, &to);
                files.push(to);
            }
        }
        let jemalloc = messages
            .iter()
            .filter(|m| m["reason"] == "build-script-executed")
            .filter(|m| m["package_id"].as_str().unwrap().contains("tikv-jemalloc-sys"))
            .flat_map(|m| m["linked_paths"].as_array().unwrap())
            .find_map(|path| {
                Some(Path::new(path.as_str()?.strip_prefix("native=")?).join("libjemalloc_pic.a"))
            });
        Built { folder, files, jemalloc }
    }

    /// Builds, and returns the file of the library with this name.
    pub fn artifact(&self, name: &str) -> PathBuf {
        let (success, messages, stderr) = self.messages();
        assert!(success, "{stderr}");
        let artifacts = messages.iter().filter(|m| m["reason"] == "compiler-artifact");
        let mut named = artifacts.filter(|m| m["target"]["name"] == name);
        named.next_back().expect(name)["filenames"][0].as_str().unwrap().into()
    }

    /// Builds in both profiles, the optimised one with the other's jemalloc, whose version is not
    /// known to it; with the line that a program on jemalloc prints.
    pub fn dev_and_release(&self) -> [(Built, String); 2] {
        let dev = self.build();
        let release = self.clone().args(["--release"]).prebuilt_jemalloc(&dev.jemalloc()).build();
        [(dev, jemalloc("executable artifact")), (release, "jemalloc (executable artifact)".into())]
    }

    /// Builds what must not compile, and returns rustc's errors.
    pub fn errors(&self) -> Vec<String> {
        let (success, messages, stderr) = self.messages();
        assert!(!success, "{:?} {:?} compiles", self.args, self.rustflags);
        let messages = messages.iter().map(|m| &m["message"]).filter(|m| m["level"] == "error");
        // rustc ends with a summary that points nowhere
        let errors = messages.filter(|m| !m["spans"].as_array().unwrap().is_empty());
        let errors: Vec<_> = errors.map(|m| m["message"].as_str().unwrap().to_owned()).collect();
        assert!(!errors.is_empty(), "{stderr}");
        errors
    }

    /// Builds, and returns what rustc warned of in the package itself.
    pub fn warnings(&self) -> Vec<String> {
        let (success, messages, stderr) = self.messages();
        assert!(success, "{stderr}");
        let warned = messages.iter().filter(|m| m["message"]["level"] == "warning");
        warned.map(|m| m["message"]["message"].as_str().unwrap().to_owned()).collect()
    }

    /// The packages that Cargo would build for the host.
    pub fn tree(&self) -> Vec<String> {
        let tree = self
            .clone()
            .command("tree")
            .args(["--locked", "--edges", "normal", "--prefix", "none"]);
        let out = tree.output();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let names = String::from_utf8(out.stdout).unwrap();
        names.lines().filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect()
    }
}

/// The triple of this machine.
pub fn host() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    HOST.get_or_init(|| {
        let version = run(Command::new("rustc").arg("-vV"));
        version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
    })
}

/// What a build left.
pub struct Built {
    pub folder: PathBuf,
    pub files: Vec<PathBuf>,
    pub jemalloc: Option<PathBuf>,
}

impl Built {
    /// The one file with this name, as `every-program` or `libsays_nothing.so`, whatever hash Cargo
    /// put behind it.
    pub fn file(&self, name: &str) -> &Path {
        let (stem, extension) = name.split_once('.').map_or((name, None), |(s, e)| (s, Some(e)));
        let matches: Vec<_> = self
            .files
            .iter()
            .filter(|f| f.extension().and_then(OsStr::to_str) == extension)
            .filter(|f| {
                let found = f.file_stem().and_then(OsStr::to_str).unwrap();
                found == stem
                    || found.rsplit_once('-').is_some_and(|(s, hash)| s == stem && hash.len() == 16)
            })
            .collect();
        assert_eq!(matches.len(), 1, "{name} among {:?}", self.files);
        matches[0]
    }

    /// The jemalloc archive that Cargo built for it.
    pub fn jemalloc(&self) -> PathBuf {
        self.jemalloc.clone().expect("Cargo built jemalloc for this")
    }

    pub fn run(&self, name: &str, args: &[&str]) -> String {
        run(Command::new(self.file(name)).args(args))
    }
}

impl Drop for Built {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Runs a command to its successful end and returns what it printed.
pub fn run(command: &mut Command) -> String {
    command.env_remove("MALLOC_CONF").env_remove("_RJEM_MALLOC_CONF");
    let out = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}: is it installed?"));
    let stdout = String::from_utf8_lossy(&out.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", out.status);
    stdout
}

/// A rustc that states another vendor of the target, as the compilers of distributions do.
pub fn rustc_by_vendor(vendor: &str) -> PathBuf {
    let rustc = env::var("RUSTC").unwrap_or("rustc".into());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(vendor).join("rustc");
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in\n*--print=cfg*) '{rustc}' \"$@\" | \
         sed 's/^target_vendor=\"unknown\"/target_vendor=\"{vendor}\"/' ;;\n\
         *) exec '{rustc}' \"$@\" ;;\nesac\n"
    );
    script(&path, &text);
    path
}

/// A command that inherits nothing of Cargo's environment, for `cargo test` sets `CARGO` too.
pub fn bare(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(
        ["PATH", "HOME", "RUSTUP_HOME"].into_iter().filter_map(|k| Some((k, env::var_os(k)?))),
    );
    command
}

/// The crate's build script with the feature `jemalloc`, compiled into `folder` and ready to run
/// for a target that is written as `triple arch vendor os env endian`.
pub fn build_script(folder: &Path, target: &str) -> Command {
    let mut rustc = bare(env::var_os("RUSTC").unwrap_or("rustc".into()));
    rustc.args(["--edition", "2021", "--crate-name", "build_script", "--crate-type", "bin"]);
    rustc.args(["--cfg", "feature=\"jemalloc\"", "--out-dir"]).arg(folder);
    run(rustc.arg(Path::new(ROOT).join("build.rs")));
    let mut script = bare(folder.join("build_script"));
    let keys = ["TARGET", "ARCH", "VENDOR", "OS", "ENV", "ENDIAN"];
    for (key, value) in keys.into_iter().zip(target.split(' ')) {
        script.env(
            if key == "TARGET" { key.into() } else { format!("CARGO_CFG_TARGET_{key}") },
            value,
        );
    }
    script.env("OUT_DIR", folder);
    script
}

/// Where the toolchain keeps std as a shared library.
pub fn shared_std() -> PathBuf {
    let rustc = env::var_os("RUSTC").unwrap_or("rustc".into());
    run(Command::new(rustc).args(["--print", "target-libdir"])).trim_end().into()
}

/// Copies a program that can be run at once. A child process writes it: a program that another
/// thread starts meanwhile would inherit an open file, and a file that is open for writing cannot
/// be run.
pub fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").arg(from).arg(to));
}

/// Writes a script that can be run at once, by a child process too.
pub fn script(path: &Path, text: &str) {
    use std::io::Write;

    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one_at_a_time = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    // Cargo asks a compiler that is newer than its answers everything again.
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return;
    }
    let mut install = Command::new("install");
    install.args(["-D", "--mode=755", "/dev/stdin"]).arg(path).stdin(std::process::Stdio::piped());
    let mut install = install.spawn().unwrap_or_else(|e| panic!("install: {e}: coreutils have it"));
    install.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(install.wait().unwrap().success(), "{}", path.display());
}

/// Compiles a C program with the platform's compiler.
pub fn cc(source: &str, out: &Path, args: &[&OsStr]) -> PathBuf {
    let source = Path::new(ROOT).join("tests/c").join(source);
    run(Command::new("cc").arg("-Wall").arg("-o").arg(out).arg(source).args(args));
    out.to_owned()
}

/// The line that an artifact on jemalloc prints, with the version that the package which compiles
/// it states.
pub fn jemalloc(reason: &str) -> String {
    // version = "0.7.1+5.3.1-0-g81034ce1…"
    let (_, package) =
        include_str!("../../Cargo.lock").split_once("name = \"tikv-jemalloc-sys\"").unwrap();
    let version =
        package.split_once('+').and_then(|(_, version)| version.split('-').next()).unwrap();
    format!("jemalloc {version} ({reason})")
}
