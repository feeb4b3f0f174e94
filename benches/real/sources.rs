//! From the registry to programs: the sources are unpacked, our line is put in, and each is built
//! once for each allocator. Everything is below one directory, in a workspace of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use crate::programs::{self, Program, Source};
use crate::{report, ROOT};

/// What is compiled into a program. The presets are options of the same jemalloc, given to the same
/// program by its environment.
pub const BUILDS: [&str; 3] = ["glibc", "alloc-switch", "mimalloc"];

/// The versions of everything that the programs depend on.
const LOCK: &str = "benches/real/Cargo.lock";

/// Which commit's crate they are built with.
const COMMIT: &str = "commit";

/// Optimised as a release is, without what only takes time to build, and the same for all of them.
const PROFILE: &str = "[profile.release]\ndebug = false\n";

/// Unpacks what is not there yet.
pub fn unpack(directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    fs::write(directory.join(COMMIT), report::commit()).unwrap();
    let mut members = vec!["drivers".to_owned()];
    for program in programs::ALL {
        let Source::Registry(package, version, ..) = program.source else { continue };
        let member = format!("{package}-{version}");
        let to = directory.join(&member);
        if !to.exists() {
            eprintln!("unpacking {member}");
            copy(&fetch(directory, package, version), &to);
            adapt(&to);
        }
        members.push(member);
    }
    let drivers = directory.join("drivers");
    copy(&Path::new(ROOT).join("benches/real/drivers"), &drivers);
    add_allocator(&drivers.join("Cargo.toml"));
    let workspace = format!("[workspace]\nmembers = {members:?}\nresolver = \"3\"\n\n{PROFILE}");
    write_if_new(&directory.join("Cargo.toml"), workspace.as_bytes());
    if let Ok(lock) = fs::read(Path::new(ROOT).join(LOCK)) {
        write_if_new(&directory.join("Cargo.lock"), &lock);
    }
}

/// Has Cargo download a package, which may have no library, and says where it put it.
fn fetch(directory: &Path, package: &str, version: &str) -> PathBuf {
    let fetch = directory.join("target/fetch");
    fs::create_dir_all(fetch.join("src")).unwrap();
    fs::write(fetch.join("src/lib.rs"), "").unwrap();
    let manifest = format!(
        "[package]\nname = \"fetch\"\nedition = \"2021\"\n[workspace]\n[dependencies]\n\
         {package} = {{ version = \"={version}\", default-features = false }}\n"
    );
    fs::write(fetch.join("Cargo.toml"), manifest).unwrap();
    let status = Command::new(env!("CARGO"))
        .args(["fetch", "--quiet", "--manifest-path"])
        .arg(fetch.join("Cargo.toml"))
        .stderr(Stdio::null()) // it warns of a package without a library
        .status();
    assert!(status.expect("cargo runs").success(), "{package} {version}: cannot be downloaded");
    let home = env::var_os("CARGO_HOME").map_or_else(
        || Path::new(&env::var_os("HOME").expect("there is a home")).join(".cargo"),
        PathBuf::from,
    );
    let registries = fs::read_dir(home.join("registry/src")).unwrap();
    let mut packages = registries.map(|r| r.unwrap().path().join(format!("{package}-{version}")));
    packages.find(|p| p.is_dir()).expect("Cargo unpacks what it downloads")
}

/// Puts our line into every program of a package.
fn adapt(package: &Path) {
    let manifest = package.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    for binary in text.split("[[bin]]").skip(1) {
        let path = binary.lines().find_map(|line| line.strip_prefix("path = \""));
        let source = package.join(path.map_or("src/main.rs", |path| path.trim_end_matches('"')));
        let code = fs::read_to_string(&source).unwrap();
        fs::write(source, code + "\nextern crate allocator;\nallocator::register!();\n").unwrap();
    }
    add_allocator(&manifest);
}

fn add_allocator(manifest: &Path) {
    let text = fs::read_to_string(manifest).unwrap();
    // The oldest compiler that one of them supports would decide the dependencies of all.
    let text: String =
        text.split_inclusive('\n').filter(|line| !line.starts_with("rust-version")).collect();
    let ours = format!("\n[dependencies.allocator]\npath = \"{ROOT}/benches/real/allocator\"\n");
    fs::write(manifest, text + &ours).unwrap();
}

/// Builds a program with every allocator; they are in the order of `BUILDS`.
pub fn build(directory: &Path, program: &Program) -> [PathBuf; BUILDS.len()] {
    BUILDS.map(|allocator| build_with(directory, program, allocator, ""))
}

/// The commit whose crate is in what was built.
pub fn commit(directory: &Path) -> String {
    fs::read_to_string(directory.join(COMMIT)).expect("written before they are built")
}

/// Where `build` has put them.
pub fn built(directory: &Path, program: &Program) -> [PathBuf; BUILDS.len()] {
    BUILDS.map(|allocator| program_file(directory, program, allocator))
}

fn program_file(directory: &Path, program: &Program, allocator: &str) -> PathBuf {
    directory.join(format!("target/programs/{}-{allocator}", program.name))
}

/// Builds a program with a jemalloc that can profile, armed.
pub fn build_profiling(directory: &Path, program: &Program) -> PathBuf {
    build_with(directory, program, "profiling", ",allocator/profiling")
}

fn build_with(directory: &Path, program: &Program, allocator: &str, more: &str) -> PathBuf {
    let (package, version, binary, features) = match program.source {
        Source::Registry(package, version, binary, features) => {
            (package, format!("@{version}"), binary, features)
        }
        Source::Driver(binary) => ("drivers", String::new(), binary, binary),
    };
    eprintln!("building {} with {allocator}", program.name);
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["rustc", "--release", "--quiet", "--package", &format!("{package}{version}")])
        .args(["--bin", binary, "--no-default-features"])
        .args(["--features", &format!("{features}{more}")])
        .arg("--manifest-path")
        .arg(directory.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(directory.join("target"))
        .args(["--", "--cap-lints", "allow"])
        .args(["--cfg", &format!("bench_allocator=\"{allocator}\"")]);
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "{cargo:?}\n{}", String::from_utf8_lossy(&output.stderr));
    let to = program_file(directory, program, allocator);
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(directory.join("target/release").join(binary), &to).unwrap();
    to
}

/// Keeps the versions that were chosen, for whoever commits them.
pub fn keep_lock(directory: &Path) {
    fs::copy(directory.join("Cargo.lock"), Path::new(ROOT).join(LOCK)).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let to = to.join(from.file_name().unwrap());
        if from.is_dir() {
            copy(&from, &to);
        } else {
            write_if_new(&to, &fs::read(from).unwrap());
        }
    }
}

/// Cargo builds again what has a new time.
fn write_if_new(file: &Path, text: &[u8]) {
    if fs::read(file).map_or(true, |old| old != text) {
        fs::write(file, text).unwrap();
    }
}
