//! A program that owns its allocator and has it administered.
//!
//! ```sh
//! cargo run --release -p admin
//! curl http://127.0.0.1:6780/allocator
//! curl -X POST http://127.0.0.1:6780/profile/start
//! ```

use std::net::SocketAddr;
use std::process::ExitCode;

use alloc_switch::conf::{GIVE_BACK, PROFILING_ARMED};
use alloc_switch::{global_allocator, Error, Handle};

global_allocator!(pub static ALLOCATOR, conf = [GIVE_BACK, PROFILING_ARMED]);

const USAGE: &str = "usage: admin [ADDRESS:PORT [--expose]]";

/// There is no password. Whoever reaches the server can read which functions and files the program
/// is made of, slow it down and have it give its memory back.
const WHY_LOOPBACK: &str = "whoever reaches this server can read the program's function names and \
                            slow the program down, so it listens on loopback only (use an SSH \
                            tunnel); to open it to others, add --expose";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (address, expose) = match arguments[..] {
        [] => ("127.0.0.1:6780", false),
        [address] => (address, false),
        [address, "--expose"] => (address, true),
        _ => return fail(USAGE),
    };
    let Ok(address) = address.parse::<SocketAddr>() else { return fail(USAGE) };
    if !address.ip().is_loopback() && !expose {
        return fail(WHY_LOOPBACK);
    }
    match serve(address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{address}: {error}")),
    }
}

fn fail(sentence: &str) -> ExitCode {
    eprintln!("{sentence}");
    ExitCode::FAILURE
}

fn serve(address: SocketAddr) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await?;
        // jemalloc says that its threads are there even if it could make none.
        if let Err(error @ Error::NoThread) = ALLOCATOR.background_threads(true) {
            eprintln!("{error}");
        }
        admin::limit::watch(&ALLOCATOR);
        println!("{ALLOCATOR}: http://{}", listener.local_addr()?);
        std::thread::spawn(workload);
        admin::serve(listener, &ALLOCATOR).await;
        Ok(())
    })
}

/// What the server is for: here it keeps the last 4,096 answers of some kind.
fn workload() {
    let mut answers = std::collections::VecDeque::new();
    loop {
        answers.push_back(answer());
        if answers.len() > 4096 {
            answers.pop_front();
        }
        std::thread::sleep(std::time::Duration::from_micros(100));
    }
}

#[inline(never)]
fn answer() -> Vec<u8> {
    std::hint::black_box(vec![1; 4096])
}
