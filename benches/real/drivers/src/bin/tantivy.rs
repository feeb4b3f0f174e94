//! usage: tantivy FILE DIRECTORY THREADS
//!
//! Makes a full-text index of the lines of a file in a new directory, and searches it.

use std::fs;

use tantivy::collector::Count;
use tantivy::query::QueryParser;
use tantivy::schema::{Schema, STORED, TEXT};
use tantivy::{doc, Index};

fn main() -> tantivy::Result<()> {
    let [file, directory, threads] = drivers::arguments();
    let threads: usize = threads.parse().unwrap();
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir(&directory)?;
    let mut schema = Schema::builder();
    let line = schema.add_text_field("line", TEXT | STORED);
    let index = Index::create_in_dir(&directory, schema.build())?;
    let mut writer = index.writer_with_num_threads(threads, threads * (20 << 20))?;
    for text in fs::read_to_string(file)?.lines() {
        writer.add_document(doc!(line => text))?;
    }
    writer.commit()?;
    writer.wait_merging_threads()?;
    let searcher = index.reader()?.searcher();
    let parser = QueryParser::for_index(&index, vec![line]);
    let mut found = 0;
    for word in ["cedor", "mi", "cedor mi", "\"no ri\"", "mi AND NOT no"] {
        found += searcher.search(&parser.parse_query(word)?, &Count)?;
    }
    println!("{found} lines found");
    Ok(())
}

allocator::register!();
