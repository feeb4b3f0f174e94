//! What a process used, as the kernel counts it.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::time::Instant;

/// Seconds, and MiB for the peak of resident memory.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    pub user: f64,
    pub sys: f64,
    pub wall: f64,
    pub peak: f64,
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> (ExitStatus, Used) {
    let begun = Instant::now();
    let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    wait(child, begun)
}

/// Waits for a process, and for what it had waited for itself.
pub fn wait(child: Child, begun: Instant) -> (ExitStatus, Used) {
    let pid = child.id() as libc::pid_t;
    let mut status = 0;
    // SAFETY: an all-zero rusage is a valid one, and wait4 fills it in.
    let (waited, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::wait4(pid, &mut status, 0, &mut usage), usage)
    };
    assert_eq!(waited, pid, "{}", io::Error::last_os_error());
    let wall = begun.elapsed().as_secs_f64();
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    let (user, sys) = (seconds(usage.ru_utime), seconds(usage.ru_stime));
    let used = Used { user, sys, wall, peak: usage.ru_maxrss as f64 / 1024.0 };
    (ExitStatus::from_raw(status), used)
}

/// The user and the kernel time of a process until now, in seconds. The kernel rounds them down to
/// hundredths.
pub fn times(pid: u32) -> [f64; 2] {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let (_, fields) = stat.rsplit_once(')').expect("the name stands in brackets");
    let fields: Vec<&str> = fields.split_whitespace().collect();
    [11, 12].map(|field| fields[field].parse::<f64>().expect("a number") / 100.0)
}

/// A field of /proc/PID/status, such as `VmRSS:`, in MiB.
pub fn status(pid: u32, field: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with(field)).expect("the kernel reports it");
    let kib = line.split_whitespace().nth(1).expect("a number");
    kib.parse::<f64>().expect("a number") / 1024.0
}
