//! usage: sqlparser FILE
//!
//! Parses a file of statements and prints them again.

use std::fs;

use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

fn main() {
    let [file] = drivers::arguments();
    let text = fs::read_to_string(file).unwrap();
    for statement in Parser::parse_sql(&GenericDialect {}, &text).unwrap() {
        println!("{statement};");
    }
}

allocator::register!();
