//! What cannot work is refused while it compiles, once, in one sentence, at the line of the macro call.

mod support;

use std::fs;
use std::path::Path;

use support::fixture;

fn assert_refused(folder: &str, target: &str) {
    let folder = Path::new(support::ROOT).join("tests/fixtures/refused").join(folder);
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let source = fs::read_to_string(&path).unwrap();
        let sentence = source.lines().next().and_then(|line| line.strip_prefix("//! ")).expect("the sentence");
        let call = 1 + source.lines().position(|line| line.contains("alloc_switch::")).expect("a call") as u64;

        let errors = fixture("refused").command("check").args([target, name]).errors();
        assert_eq!(errors.len(), 1, "{name}: {errors:?}");
        let (message, file, line) = &errors[0];
        // rustc's own words before ours differ between versions
        let ours = message.find("alloc-switch: ").map_or(message.as_str(), |at| &message[at..]);
        assert_eq!(ours, sentence, "{name}");
        assert!(file.ends_with(&format!("{name}.rs")), "{name}: points to {file}");
        assert!(*line >= call, "{name}: points to line {line}");
        count += 1;
    }
    assert!(count >= 4, "{count} cases");
}

#[test]
fn programs() {
    assert_refused("src/bin", "--bin");
}

#[test]
fn libraries() {
    assert_refused("examples", "--example");
}

/// With the feature that the sentence names, the same library compiles.
#[test]
fn the_way_out_that_is_named_is_one() {
    let library = fixture("refused").command("check").features("jemalloc-in-libraries");
    library.args(["--example", "library_jemalloc", "--example", "library_conf"]).build();
}
