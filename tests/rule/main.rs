//! The rule, `src/rule.rs`: every decision, what `build.rs` parses, and the list of targets, which
//! is held against `Cargo.toml` and rustc. These tests alone find every mistake that
//! `cargo mutants` can make in that file, which is compiled into this program.

#[allow(dead_code)]
#[path = "../../src/rule.rs"]
mod rule;

mod decisions;
mod field;
mod flags;
mod page_sizes;
mod targets;
mod triples;
