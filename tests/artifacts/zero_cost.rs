//! The macro costs nothing: the same machine code as without it. What the crate adds to a build,
//! `benches/build_cost.rs` says; how many instructions a library executes, `tests/more`.

use std::fs;
use std::path::Path;
use std::process::Command;

use object::{Object, ObjectSection};

use crate::support::{fixture, run};

/// The `.text` of the fixture's program, built in release, and what it prints.
fn built(features: &str) -> (Vec<u8>, String) {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("zero-cost-{features}"));
    let jemalloc = fixture("every-program").command("check").build().jemalloc();
    let out = fixture("zero-cost")
        .prebuilt_jemalloc(&jemalloc)
        .args(["--release", "--bin", "zero_cost"])
        .features(features)
        // One unit lays the functions out in one order.
        .rustc(["-Ccodegen-units=1", &format!("--emit=link={}", program.display())])
        .output();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let bytes = fs::read(&program).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let text = file.section_by_name(".text").unwrap();
    (text.data().unwrap().to_vec(), run(&mut Command::new(program)))
}

/// In each of the macro's forms. A fallback that another target would take and `executable` are
/// among them.
#[test]
fn the_program_is_the_one_written_by_hand() {
    for (by_hand, forms) in [
        ("by-hand", &["macro", "named", "executable", "fallback"][..]),
        ("own-by-hand", &["custom"]),
    ] {
        let (text, printed) = built(by_hand);
        for form in forms {
            let (text_of_form, printed_by_form) = built(form);
            assert!(text_of_form == text, "{form}: the .text sections differ");
            assert_eq!(printed_by_form, printed, "{form}");
        }
    }
    assert!(built("by-hand").0.len() > 300_000, "it does not hold jemalloc");
}
