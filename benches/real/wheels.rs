//! Options on programs that nobody here built: the published wheels of PyPI carry a jemalloc that
//! reads `_RJEM_MALLOC_CONF`. They have no build with another allocator beside them, so presets are
//! compared with what the program has by default.

use std::path::Path;
use std::process::Command;

use crate::report::{Allocator, Run};
use crate::{run, ROOT};

const WHEELS: [&str; 5] =
    ["uv==0.13.9", "ruff==0.17.6", "ty==0.0.107", "pyrefly==1.4.1", "deltalake==1.6.6"];

/// Name, program, arguments, and the exit codes that mean that the work was done: most of these
/// have something to say about the code. `{stdlib}` is Python's standard library.
const WORK: &[(&str, &str, &str, &[i32])] = &[
    (
        "ruff check",
        "{packages}/bin/ruff",
        "check --isolated --no-cache --quiet --select ALL --exclude site-packages,test {stdlib}",
        &[1],
    ),
    (
        "ruff format",
        "{packages}/bin/ruff",
        "format --isolated --no-cache --quiet --check --exclude site-packages,test {stdlib}",
        &[1, 2],
    ),
    (
        "ty check",
        "{packages}/bin/ty",
        "check --quiet --exit-zero {stdlib}/asyncio {stdlib}/email {stdlib}/idlelib \
         {stdlib}/unittest {stdlib}/multiprocessing {stdlib}/xml",
        &[0],
    ),
    (
        "pyrefly check",
        "{packages}/bin/pyrefly",
        "check --output-format omit-errors {stdlib}/asyncio {stdlib}/email {stdlib}/idlelib \
         {stdlib}/unittest {stdlib}/multiprocessing {stdlib}/xml",
        &[0, 1],
    ),
    (
        "deltalake",
        "{python}",
        "PYTHONPATH={packages} {root}/benches/real/delta.py {out} 100000",
        &[0],
    ),
    (
        "uv pip compile",
        "{packages}/bin/uv",
        "pip compile --quiet --offline --no-cache --no-index --python {python} \
         --find-links {index} {index}/all.in",
        &[0],
    ),
];

/// Has an index made of a thousand small packages in five versions, which depend on each other.
const INDEX: &str = r#"
import random, sys, zipfile
from pathlib import Path
index, chance = Path(sys.argv[1]), random.Random(1)
index.mkdir(parents=True)
for i in range(1000):
    for v in range(1, 6):
        needs = [(chance.randrange(i), chance.randrange(1, 3)) for _ in range(4)] if i else []
        lines = [f"Requires-Dist: p{n}>={least}" for n, least in needs]
        head = ["Metadata-Version: 2.1", f"Name: p{i}", f"Version: {v}"]
        with zipfile.ZipFile(index / f"p{i}-{v}-py3-none-any.whl", "w") as wheel:
            info = f"p{i}-{v}.dist-info"
            wheel.writestr(f"{info}/METADATA", "\n".join(head + lines) + "\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
(index / "all.in").write_text("\n".join(f"p{i}" for i in range(1000)))
"#;

/// Unpacks the wheels and runs them. What cannot be compared, glibc and mimalloc, is left out.
pub fn run(directory: &Path, allocators: &[Allocator], rounds: usize) -> Vec<Run> {
    let packages = directory.join("target/wheels");
    if !packages.exists() {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--only-binary=:all:", "--target"]);
        pip.arg(&packages).args(WHEELS);
        assert!(pip.status().expect("python3 runs").success(), "{pip:?}");
    }
    let index = directory.join("target/inputs/index");
    if !index.exists() {
        python(INDEX, &[index.to_str().unwrap()]);
    }
    let filled = [
        ("packages", packages.display().to_string()),
        ("index", index.display().to_string()),
        ("out", directory.join("target/out.d").display().to_string()),
        ("root", ROOT.to_owned()),
        ("python", python("import sys; print(sys.executable, end='')", &[])),
        ("stdlib", python("import sysconfig; print(sysconfig.get_path('stdlib'), end='')", &[])),
    ];
    let mut runs = Vec::new();
    for (name, program, arguments, codes) in WORK {
        let workload = format!("wheels/{name}");
        eprintln!("running {workload}");
        runs.extend(run::rounds(rounds, allocators, |index, allocator| {
            if allocator.program != Path::new("alloc-switch") {
                return None;
            }
            let program = run::fill(program, &filled);
            let mut command = run::command(Path::new(&program), arguments, &filled);
            let out = directory.join("target/out");
            // uv, ruff and ty have jemalloc 5.3.0, which does not know this option
            let known = |pair: &&str| !pair.starts_with("cache_oblivious");
            let conf = allocator
                .conf
                .as_deref()
                .map(|conf| conf.split(',').filter(known).collect::<Vec<_>>().join(","));
            let (used, _) = run::program(&mut command, conf.as_deref(), &out, codes);
            Some(Run::of(&workload, index, used))
        }));
    }
    runs
}

/// What a Python program prints.
fn python(code: &str, arguments: &[&str]) -> String {
    let output = Command::new("python3").args(["-c", code]).args(arguments).output();
    let output = output.expect("python3 is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
