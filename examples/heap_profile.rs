//! Writes a heap profile, if the program was built for it:
//! `cargo run --release --example heap_profile --features profiling`.

use std::collections::HashMap;
use std::path::Path;

use alloc_switch::Handle;

alloc_switch::global_allocator!(static ALLOCATOR, conf = alloc_switch::conf::PROFILING);

#[inline(never)]
fn index(words: &[String]) -> HashMap<&str, Vec<usize>> {
    let mut index = HashMap::<_, Vec<_>>::new();
    for (n, word) in words.iter().enumerate() {
        index.entry(word.as_str()).or_default().push(n);
    }
    index
}

#[inline(never)]
fn words() -> Vec<String> {
    (0..200_000).map(|n| format!("the word with the number {}", n % 50_000)).collect()
}

fn main() {
    let words = words();
    let index = index(&words);
    println!("{ALLOCATOR}: {} words, {} of them different", words.len(), index.len());

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/target/example.heap");
    match ALLOCATOR.dump_profile(Path::new(path)) {
        Ok(()) => println!("the heap profile is in {path}"),
        Err(error) => println!("no heap profile: {error}"),
    }
}
