//! Link-time optimisation drops what it thinks nobody reads.

use crate::support::fixture;

#[test]
fn an_option_survives_lto() {
    let archive = fixture("app").build().jemalloc();
    for lto in ["fat", "thin"] {
        let lto = format!("profile.dev.lto={lto:?}");
        let args =
            ["--bin", "fixture-app", "--config", "profile.dev.opt-level=2", "--config", &lto];
        let built =
            fixture("app").features("witness").args(args).prebuilt_jemalloc(&archive).build();
        let out = built.run("fixture-app", &[]);
        assert!(out.contains("Ok(())\n") && out.contains("narenas: Some(3)\n"), "{lto}: {out}");
    }
}
