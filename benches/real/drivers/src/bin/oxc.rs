//! usage: oxc DIRECTORY
//!
//! Parses every JavaScript file, resolves its names and prints it again, as a bundler does.

use std::fs;
use std::path::Path;

use oxc::allocator::Allocator;
use oxc::codegen::Codegen;
use oxc::parser::Parser;
use oxc::semantic::SemanticBuilder;
use oxc::span::SourceType;

fn main() {
    let [directory] = drivers::arguments();
    let mut printed = Vec::new();
    for file in drivers::files(Path::new(&directory)) {
        let text = fs::read_to_string(file).unwrap();
        let arena = Allocator::default();
        let parsed = Parser::new(&arena, &text, SourceType::mjs()).parse();
        assert!(!parsed.panicked);
        let semantic = SemanticBuilder::new().build(&parsed.program).semantic;
        let scoping = semantic.into_scoping();
        printed.push(Codegen::new().with_scoping(Some(scoping)).build(&parsed.program).code);
    }
    println!("{} bytes", printed.iter().map(String::len).sum::<usize>());
}

allocator::register!();
