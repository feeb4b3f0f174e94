//! usage: rust-analyzer DIRECTORY THREADS
//!
//! Parses every Rust file with rust-analyzer's parser, keeps the trees, and walks them.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use ra_ap_syntax::{Edition, SourceFile};

fn main() {
    let [directory, threads] = drivers::arguments();
    let files = drivers::files(Path::new(&directory));
    let next = AtomicUsize::new(0);
    let work = || {
        let mut trees = Vec::new();
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let text = fs::read_to_string(file).unwrap();
            trees.push(SourceFile::parse(&text, Edition::Edition2021));
        }
        let nodes = trees.iter().map(|t| t.syntax_node().descendants_with_tokens().count());
        (nodes.sum::<usize>(), trees)
    };
    let all: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..threads.parse().unwrap()).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    println!("{} nodes", all.iter().map(|(nodes, _)| nodes).sum::<usize>());
}

allocator::register!();
