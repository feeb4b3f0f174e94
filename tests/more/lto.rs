//! Link-time optimisation drops what it thinks nobody reads.

use crate::support::fixture;

#[test]
fn options_survive_link_time_optimisation() {
    let program = || fixture("every-program").args(["--bin", "every-program"]);
    let archive = program().build().jemalloc();
    for lto in ["fat", "thin"] {
        let lto = format!("profile.dev.lto={lto:?}");
        let args = ["--config", "profile.dev.opt-level=2", "--config", &lto];
        let program = program().features("asks-jemalloc").args(args).prebuilt_jemalloc(&archive);
        let out = program.build().run("every-program", &[]);
        assert!(
            out.contains("box: jemalloc;") && out.contains("narenas: Some(3)\n"),
            "{lto}: {out}"
        );
    }
}
