//! What the process itself used, from `start` to `stop`.

use std::fs;
use std::time::Instant;

pub struct Meter {
    begun: Instant,
    used: Used,
    samples: Vec<u64>,
}

#[derive(Clone, Copy)]
struct Used {
    user: f64,
    sys: f64,
    faults: i64,
}

impl Meter {
    /// Starts, or starts again once a workload has its input ready: what was used before does not count.
    pub fn start() -> Self {
        // Makes the peak start from now: proc_pid_clear_refs(5).
        fs::write("/proc/self/clear_refs", "5").expect("/proc is writable");
        Meter { begun: Instant::now(), used: used(), samples: Vec::with_capacity(1024) }
    }

    /// Notes the resident memory at this point of a long run.
    pub fn sample(&mut self) {
        self.samples.push(status("VmRSS:"));
    }

    pub fn stop(mut self) -> String {
        let (wall, after) = (self.begun.elapsed().as_secs_f64(), used());
        self.sample();
        let mean = self.samples.iter().sum::<u64>() / self.samples.len() as u64;
        let (peak, end) = (status("VmHWM:"), *self.samples.last().unwrap());
        let [peak, mean, end] = [peak, mean, end].map(|kib| kib as f64 / 1024.0);
        format!(
            "user={:.6} sys={:.6} wall={wall:.6} peak={peak:.3} mean={mean:.3} end={end:.3} faults={}",
            after.user - self.used.user,
            after.sys - self.used.sys,
            after.faults - self.used.faults,
        )
    }
}

fn used() -> Used {
    // SAFETY: an all-zero rusage is a valid one, and getrusage fills it in.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, &mut usage), 0);
        usage
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    Used { user: seconds(usage.ru_utime), sys: seconds(usage.ru_stime), faults: usage.ru_minflt as i64 }
}

/// A field of /proc/self/status, in KiB.
fn status(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let line = status.lines().find(|line| line.starts_with(field)).expect("the kernel reports it");
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
