//! Says of finished files whether they carry jemalloc, for people who ship them:
//!
//! ```text
//! cargo run --example inspect -- [--expect jemalloc|system] PATH…
//! ```
//!
//! One line for each path on standard output (for a universal Mach-O file one for each architecture); what cannot be read
//! goes to standard error. Exit status: 0; 1 if a file cannot be read or is not what `--expect` says; 2 for wrong usage.
//! What a packer such as UPX has compressed is not seen.

use std::process::ExitCode;
use std::{env, fs};

#[path = "../tests/support/inspect.rs"]
mod inspect;

#[derive(Clone, Copy)]
enum Expect {
    Jemalloc,
    System,
}

fn main() -> ExitCode {
    let (expect, paths) = match arguments() {
        Ok(arguments) => arguments,
        Err(sentence) => {
            eprintln!("inspect: {sentence}");
            return ExitCode::from(2);
        }
    };
    let mut status = ExitCode::SUCCESS;
    for path in paths {
        let found = fs::read(&path)
            .map_err(|error| error.to_string())
            .and_then(|bytes| inspect::inspect_all(&bytes));
        let reports = match found {
            Ok(reports) => reports,
            Err(sentence) => {
                eprintln!("{path}: {sentence}");
                status = ExitCode::FAILURE;
                continue;
            }
        };
        for report in &reports {
            let unmet = match expect {
                Some(Expect::Jemalloc) if !report.has_jemalloc() => ", but jemalloc was expected",
                Some(Expect::System) if report.has_jemalloc() => {
                    ", but the system allocator was expected"
                }
                _ => "",
            };
            let slice = if reports.len() > 1 {
                format!(" ({})", report.architecture)
            } else {
                String::new()
            };
            println!("{path}{slice}: {report}{unmet}");
            if !unmet.is_empty() {
                status = ExitCode::FAILURE;
            }
        }
    }
    status
}

fn arguments() -> Result<(Option<Expect>, Vec<String>), String> {
    let mut expect = None;
    let mut paths = Vec::new();
    let mut arguments = env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        let argument =
            argument.into_string().map_err(|path| format!("the path {path:?} is not UTF-8"))?;
        let value = match argument.strip_prefix("--expect") {
            Some("") => {
                arguments.next().and_then(|value| value.into_string().ok()).unwrap_or_default()
            }
            Some(value) if value.starts_with('=') => value[1..].to_owned(),
            _ if argument == "--" => {
                for path in arguments.by_ref() {
                    paths.push(
                        path.into_string()
                            .map_err(|path| format!("the path {path:?} is not UTF-8"))?,
                    );
                }
                break;
            }
            _ if argument.starts_with('-') => {
                return Err(format!(
                    "there is no option {argument}; the one option is --expect jemalloc|system"
                ))
            }
            _ => {
                paths.push(argument);
                continue;
            }
        };
        expect = match (value.as_str(), expect) {
            (_, Some(_)) => return Err("--expect is given twice".into()),
            ("jemalloc", None) => Some(Expect::Jemalloc),
            ("system", None) => Some(Expect::System),
            _ => return Err(format!("--expect takes jemalloc or system, not `{value}`")),
        };
    }
    if paths.is_empty() {
        return Err("name at least one file: inspect [--expect jemalloc|system] PATH…".into());
    }
    Ok((expect, paths))
}
