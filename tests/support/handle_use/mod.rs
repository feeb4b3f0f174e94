//! Every call of the handle as a server makes it, the same on both allocators, for a program that
//! names its own `ALLOCATOR`. What the allocator cannot do has to be the answer that says so.

use std::fmt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::process::{Command, Output};

use alloc_switch::conf::ENVIRONMENT;
use alloc_switch::{Error, Handle, ReportFormat};

use crate::ALLOCATOR;

mod load;

/// What the rest of a server sees of it.
fn handle() -> &'static dyn Handle {
    &ALLOCATOR
}

fn is_jemalloc() -> bool {
    handle().choice().is_jemalloc()
}

/// Whether the allocator writes a report.
fn reports() -> bool {
    let is_glibc = cfg!(all(target_os = "linux", target_env = "gnu", not(alloc_switch_malloc)));
    is_jemalloc() || is_glibc
}

/// Runs one test of this program in a process of its own, as a child of itself.
pub fn again(test: &str, change: impl FnOnce(&mut Command)) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(CHILD, test);
    for name in ["MALLOC_CONF", "_RJEM_MALLOC_CONF"] {
        command.env_remove(name);
    }
    change(&mut command);
    command.output().unwrap()
}

const CHILD: &str = "ALLOC_SWITCH_TEST_CHILD";

/// Whether this process is the child that runs `test`.
pub fn is_child(test: &str) -> bool {
    std::env::var(CHILD).is_ok_and(|child| child == test)
}

fn report(format: ReportFormat) -> String {
    let mut text = String::new();
    handle().report(&mut text, format).unwrap();
    text
}

/// In a child, whose memory is locked alone.
#[cfg(target_os = "linux")]
#[allow(dead_code)] // where no purge is to be had
pub fn a_purge_of_locked_memory_is_an_error() {
    use crate::process::{in_fork, resident, small_blocks, MIB};

    const SEEN: u8 = 1;
    const MAY_LOCK_NOTHING: u8 = 2;
    let status = in_fork(|| {
        let purge = || handle().purge();
        assert_eq!(purge(), Ok(()));
        let unlimited =
            libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: the calls read what they are given. Only the superuser raises the limit; another
        // may lock what is mapped later, of which there may be nothing then.
        unsafe {
            libc::setrlimit(libc::RLIMIT_MEMLOCK, &unlimited);
            if libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) != 0 {
                assert_eq!(libc::mlockall(libc::MCL_FUTURE), 0);
                assert_eq!(purge(), Err(Error::Locked));
                return MAY_LOCK_NOTHING;
            }
        }
        drop(std::hint::black_box(small_blocks(64 * MIB)));
        let held = resident();
        assert_eq!(purge(), Err(Error::Locked));
        let is_kept = resident() > held - 16 * MIB;
        // SAFETY: it takes nothing.
        assert_eq!(unsafe { libc::munlockall() }, 0);
        assert_eq!(purge(), Ok(()));
        if is_kept {
            SEEN
        } else {
            0
        }
    });
    assert!([SEEN, MAY_LOCK_NOTHING].map(i32::from).contains(&status), "{status}");
}

#[test]
fn a_report_is_text_or_json() {
    if !reports() {
        let answer = handle().report(&mut String::new(), ReportFormat::Text);
        return assert_eq!(answer, Err(Error::Unsupported));
    }
    let json: serde_json::Value = serde_json::from_str(&report(ReportFormat::Json)).unwrap();
    let text = report(ReportFormat::Text);
    if is_jemalloc() {
        let version = handle().choice().version().unwrap_or("5.");
        assert!(json["jemalloc"]["version"].as_str().unwrap().starts_with(version), "{json}");
        assert!(text.starts_with("___ Begin jemalloc statistics ___\n"), "{text}");
        assert!(text.ends_with("--- End jemalloc statistics ---\n"), "{text}");
        let allocated = &json["jemalloc"]["stats"]["allocated"];
        assert_eq!(allocated.is_u64(), cfg!(feature = "stats"), "{json}");
        assert!(json["jemalloc"]["opt"]["narenas"].is_u64(), "the options in effect: {json}");
    } else {
        let info = json["mallinfo2"].as_object().unwrap();
        assert!(info.len() == 9 && info.values().all(serde_json::Value::is_u64), "{json}");
        assert!(text.starts_with("<malloc version=\"1\">\n"), "{text}");
        assert!(text.ends_with("</malloc>\n"), "{text}");
    }
}

#[test]
fn a_writer_of_the_report_may_fail_panic_and_ask_for_another() {
    struct Fails(usize);
    impl fmt::Write for Fails {
        fn write_str(&mut self, _: &str) -> fmt::Result {
            self.0 += 1;
            Err(fmt::Error)
        }
    }
    struct Panics;
    impl fmt::Write for Panics {
        fn write_str(&mut self, _: &str) -> fmt::Result {
            panic!("out of paper")
        }
    }
    struct Asks(String, usize);
    impl fmt::Write for Asks {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.push_str(text);
            if self.1 < 3 {
                self.1 += 1;
                let _ = handle().stats();
                handle().purge().unwrap();
                self.0.truncate(self.0.len() - text.len());
                self.0.push_str(text);
                assert!(!report(ReportFormat::Json).is_empty());
            }
            Ok(())
        }
    }
    if !reports() {
        return;
    }
    let _alone = crate::process::alone(); // a backtrace takes memory
    for format in [ReportFormat::Text, ReportFormat::Json] {
        let mut fails = Fails(0);
        let answer = handle().report(&mut fails, format);
        assert!(matches!(answer, Err(Error::Io(_))), "{answer:?}");
        assert_eq!(fails.0, 1, "it is not asked again");

        let panic = catch_unwind(AssertUnwindSafe(|| handle().report(&mut Panics, format)));
        assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"out of paper"));

        let mut asks = Asks(String::new(), 0);
        handle().report(&mut asks, format).unwrap();
        assert!(asks.1 > 0);
        let end = match format {
            ReportFormat::Json => "}",
            _ if is_jemalloc() => "---",
            _ => "</malloc>",
        };
        assert!(asks.0.trim_end().ends_with(end), "{:?}", &asks.0[asks.0.len() - 100..]);
    }
}

#[test]
fn stats_have_metadata_on_jemalloc_only() {
    let stats = handle().stats();
    if is_jemalloc() {
        assert_eq!(stats.is_some(), cfg!(feature = "stats"));
    }
    match stats {
        Some(stats) if is_jemalloc() => {
            let metadata = stats.metadata.unwrap();
            assert!(metadata > 0 && metadata < stats.resident.unwrap(), "{stats:?}");
        }
        Some(stats) => assert_eq!(stats.metadata, None),
        None => {}
    }
}

/// The constant names the variable that this jemalloc reads, and the other one is not read.
#[test]
fn the_environment_is_the_one_that_is_read() {
    const TEST: &str = "handle_use::the_environment_is_the_one_that_is_read";
    if is_child(TEST) {
        let json: serde_json::Value = serde_json::from_str(&report(ReportFormat::Json)).unwrap();
        return eprintln!("<{}>", json["jemalloc"]["opt"]["narenas"]);
    }
    let Some(environment) = ENVIRONMENT else {
        assert!(!is_jemalloc());
        let error = Error::MissingOption("prof:true").to_string();
        return assert!(error.contains("MALLOC_CONF=prof:true"), "{error}");
    };
    if !is_jemalloc() {
        return; // there is a jemalloc, and this program has another
    }
    for name in ["MALLOC_CONF", "_RJEM_MALLOC_CONF"] {
        let out = again(TEST, |command| {
            command.env(name, "narenas:3");
        });
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(said.contains("<3>"), name == environment, "{name}: {said}");
    }
    let error = Error::MissingOption("prof:true").to_string();
    assert!(error.contains(&format!("{environment}=prof:true")), "{error}");
}
