//! What the drivers share.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// The arguments, of which there must be `N`.
pub fn arguments<const N: usize>() -> [String; N] {
    let arguments: Vec<String> = env::args().skip(1).collect();
    arguments.try_into().unwrap_or_else(|given| panic!("{N} arguments, not {given:?}"))
}

/// Every file below a directory, in one order.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut entries: Vec<PathBuf> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            files.extend(self::files(&entry));
        } else {
            files.push(entry);
        }
    }
    files
}
