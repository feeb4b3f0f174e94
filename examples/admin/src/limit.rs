//! Keeps a program below its memory limit: memory that it has freed goes back before the kernel
//! ends the program for it. To be copied; it takes nothing but the standard library and a `Handle`.
//!
//! jemalloc keeps freed memory for some seconds, and a cgroup's limit counts it. ClickHouse, Doris
//! and BIND each have a loop like this one.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use alloc_switch::{Error, Handle};

/// Looks once a second, in a thread of its own and for as long as the program runs, whether more
/// than a tenth of the limit could be returned.
pub fn watch(allocator: &'static dyn Handle) {
    let mut watch = Watch::new(limit_files(), 10, Duration::from_secs(5));
    thread::spawn(move || loop {
        thread::sleep(Duration::from_secs(1));
        if let Err(error) = watch.look(allocator, Instant::now()) {
            return eprintln!("the memory limit is not watched: {error}");
        }
    });
}

/// When to purge.
pub struct Watch {
    files: Vec<PathBuf>,
    percent: u64,
    every: Duration,
    last: Option<Instant>,
}

impl Watch {
    /// Purges when the allocator could return more than `percent` of the limit that is in one of
    /// these files, but not again before `every` has passed.
    pub fn new(files: Vec<PathBuf>, percent: u64, every: Duration) -> Self {
        Watch { files, percent, every, last: None }
    }

    /// Whether it was time to purge. Never where there is no limit, or where the allocator does not
    /// tell what it could return, as jemalloc does with the feature `stats`.
    pub fn look(&mut self, allocator: &dyn Handle, now: Instant) -> Result<bool, Error> {
        if self.last.is_some_and(|last| now.duration_since(last) < self.every) {
            return Ok(false);
        }
        let Some(limit) = memory_limit(&self.files) else { return Ok(false) };
        let Some(returnable) = returnable(allocator) else { return Ok(false) };
        // The division is first, because the limit may be any number.
        if returnable <= limit / 100 * self.percent {
            return Ok(false);
        }
        self.last = Some(now);
        allocator.purge().map(|()| true)
    }
}

/// Bytes that a purge could return, about.
fn returnable(allocator: &dyn Handle) -> Option<u64> {
    let stats = allocator.stats()?;
    // The numbers are added up one arena after the other, while others allocate.
    let returnable = stats.resident?.saturating_sub(stats.active?).saturating_sub(stats.metadata?);
    u64::try_from(returnable).ok()
}

/// The smallest of the limits in these files, read anew each time because it may be changed.
pub fn memory_limit(files: &[PathBuf]) -> Option<u64> {
    const NONE: u64 = 1 << 60; // version 1 has a number for "no limit", version 2 the word "max"
    let read = |file: &PathBuf| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    files.iter().filter_map(read).filter(|&limit| limit < NONE).min()
}

/// The files that may hold this process's limit.
pub fn limit_files() -> Vec<PathBuf> {
    limit_files_of(&fs::read_to_string("/proc/self/cgroup").unwrap_or_default())
}

/// The same for what is in `/proc/self/cgroup`: lines of `number:controllers:path`. Each group
/// above this one has a limit too; and in a container the path may be the host's, where the group
/// at the root is the container's own. A file that is not there is none.
fn limit_files_of(cgroup: &str) -> Vec<PathBuf> {
    let files = |line: &str| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let (root, file) = if controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.max") // version 2
        } else if controllers.split(',').any(|controller| controller == "memory") {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes") // version 1
        } else {
            return None;
        };
        let groups = Path::new(path.trim_start_matches('/')).ancestors();
        Some(groups.map(|group| Path::new(root).join(group).join(file)).collect::<Vec<_>>())
    };
    cgroup.lines().filter_map(files).flatten().collect()
}

#[test]
fn each_group_above_has_a_limit_too() {
    let files = |text: &str| {
        let files = limit_files_of(text).into_iter();
        files.map(|file| file.into_os_string().into_string().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(files("0::/\n"), ["/sys/fs/cgroup/memory.max"]);
    let nested = ["/a.slice/b:c/memory.max", "/a.slice/memory.max", "/memory.max"];
    assert_eq!(files("0::/a.slice/b:c\n"), nested.map(|file| format!("/sys/fs/cgroup{file}")));
    let version_1 = "12:cpu,cpuacct:/x\n7:hugetlb,memory:/docker/1f\n1:name=systemd:/x\n0::/x\n";
    let expected = [
        "/sys/fs/cgroup/memory/docker/1f/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/x/memory.max",
        "/sys/fs/cgroup/memory.max",
    ];
    assert_eq!(files(version_1), expected);
    for nothing in ["", "\n", "0\n", "1:memory", "::", "1:memories:/"] {
        assert!(files(nothing).iter().all(|file| file == "/sys/fs/cgroup/memory.max"), "{nothing}");
    }
}
