//! The program as tools see it that are not everywhere: `jeprof` (`apt-get install
//! libjemalloc-dev`) and a browser (`apt-get install chromium`). Not part of `cargo test`; name it,
//! as in `cargo test -p admin --test test_tools`.

mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use server::{text, Server, FUNCTION, PROGRAM};

/// A folder of this test's own, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("admin-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs a tool of which the package is named.
fn run(tool: &str, package: &str, command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{tool}: {error}: install {package}"))
}

#[test]
fn jeprof_reads_the_profile() {
    let Some(server) = Server::with_samples("/profile/heap") else { return };
    let heap = folder("jeprof").join("program.heap");
    fs::write(&heap, server.get("/profile/heap").as_bytes()).unwrap();
    let mut jeprof = Command::new("jeprof");
    jeprof.args(["--text", "--show_bytes", PROGRAM]).arg(heap);
    let out = run("jeprof", "libjemalloc-dev", &mut jeprof);
    let text = String::from_utf8(out.stdout).unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && text.contains(FUNCTION), "{text}{said}");
}

/// Whatever it draws is looked at by a person now and then: the picture stays in Cargo's folder for
/// tests.
#[test]
fn a_browser_draws_the_flame_graph() {
    let Some(server) = Server::with_samples("/profile/flamegraph") else { return };
    let graph = server.get("/profile/flamegraph");
    assert_eq!(graph.headers["content-type"], "image/svg+xml");
    assert!(text(&graph).contains(FUNCTION));

    let folder = folder("browser");
    let chromium = |what: &str| {
        let mut command = Command::new("chromium");
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]);
        command.args(["--no-first-run", "--disable-background-networking"]);
        command.args(["--disable-component-update", "--disable-sync", "--window-size=1300,700"]);
        command.arg(format!("--user-data-dir={}", folder.join("profile").display()));
        command.args([what, &format!("http://{}/profile/flamegraph", server.address)]);
        let out = run("chromium", "chromium", &mut command);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success(), "{said}");
        String::from_utf8(out.stdout).unwrap()
    };
    // The graph's script has run: it fits each frame's text to its width.
    let page = chromium("--dump-dom");
    assert!(page.contains("<svg") && page.contains("admin::"), "{page}");
    let picture = folder.join("flamegraph.png");
    chromium(&format!("--screenshot={}", picture.display()));
    let picture = fs::read(picture).unwrap();
    assert!(picture.starts_with(b"\x89PNG"));
}
