//! Every call of the handle as a server makes it, the same on both allocators, for a program that
//! names its own `ALLOCATOR`. What the allocator cannot do has to be the answer that says so.

use std::fmt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::process::{Command, Output};

use alloc_switch::conf::ENVIRONMENT;
use alloc_switch::{Error, Handle, ReportForm};

use crate::ALLOCATOR;

mod load;

/// What the rest of a server sees of it.
fn handle() -> &'static dyn Handle {
    &ALLOCATOR
}

/// Whether jemalloc answers: it does for the system allocator, too, where `malloc` is jemalloc's.
fn is_jemalloc() -> bool {
    handle().choice().is_jemalloc() || cfg!(alloc_switch_malloc)
}

/// Whether the allocator writes a report.
fn reports() -> bool {
    is_jemalloc() || cfg!(all(target_os = "linux", target_env = "gnu"))
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

fn report(form: ReportForm) -> String {
    let mut text = String::new();
    handle().report(&mut text, form).unwrap();
    text
}

#[test]
fn the_report_can_be_read() {
    if !reports() {
        let answer = handle().report(&mut String::new(), ReportForm::Text);
        return assert_eq!(answer, Err(Error::Unsupported));
    }
    let json: serde_json::Value = serde_json::from_str(&report(ReportForm::Json)).unwrap();
    let text = report(ReportForm::Text);
    if is_jemalloc() {
        // Whoever chose the system allocator is told of no version.
        let version = handle().choice().version();
        assert_eq!(version.is_some(), handle().choice().is_jemalloc());
        let version = version.unwrap_or("5.");
        assert!(json["jemalloc"]["version"].as_str().unwrap().starts_with(version), "{json}");
        assert!(text.starts_with("___ Begin jemalloc statistics ___\n"), "{text}");
        assert!(text.ends_with("--- End jemalloc statistics ---\n"), "{text}");
        let allocated = &json["jemalloc"]["stats"]["allocated"];
        assert_eq!(allocated.is_u64(), cfg!(feature = "stats"), "{json}");
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
                let _ = handle().options();
                handle().purge().unwrap();
                self.0.truncate(self.0.len() - text.len());
                self.0.push_str(text);
                assert!(!report(ReportForm::Json).is_empty());
            }
            Ok(())
        }
    }
    if !reports() {
        return;
    }
    for form in [ReportForm::Text, ReportForm::Json] {
        let mut fails = Fails(0);
        let answer = handle().report(&mut fails, form);
        assert!(matches!(answer, Err(Error::Io(_))), "{answer:?}");
        assert_eq!(fails.0, 1, "it is not asked again");

        let panic = catch_unwind(AssertUnwindSafe(|| handle().report(&mut Panics, form)));
        assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"out of paper"));

        let mut asks = Asks(String::new(), 0);
        handle().report(&mut asks, form).unwrap();
        assert!(asks.1 > 0);
        let end = match form {
            ReportForm::Json => "}",
            _ if is_jemalloc() => "---",
            _ => "</malloc>",
        };
        assert!(asks.0.trim_end().ends_with(end), "{:?}", &asks.0[asks.0.len() - 100..]);
    }
}

#[test]
fn stats_have_metadata_where_they_are_jemalloc_s() {
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

/// The process is started again with its own options as a line of `conf`, and has the same.
#[test]
fn the_options_make_a_line_of_conf() {
    const TEST: &str = "handle_use::the_options_make_a_line_of_conf";
    let Some(options) = handle().options() else { return assert!(!is_jemalloc()) };
    if is_child(TEST) {
        return eprintln!("<{options}>");
    }
    assert!(is_jemalloc());
    let in_child = |conf: &str| {
        let out = again(TEST, |command| {
            command.env(ENVIRONMENT.unwrap(), conf);
        });
        let said = String::from_utf8(out.stderr).unwrap();
        assert!(out.status.success(), "{conf}: {said}");
        assert!(!said.contains("<jemalloc>"), "{said}");
        let (_, options) = said.split_once('<').unwrap();
        options.split_once('>').unwrap().0.to_owned()
    };
    let first = in_child("confirm_conf:false");
    assert_eq!(in_child(&first), first);

    assert!(options.get("narenas").unwrap().parse::<u32>().unwrap() > 0);
    assert_eq!(options.get("no such option"), None);
    assert_eq!(options.iter().count(), options.to_string().matches(':').count());
    let pairs: Vec<_> = options.iter().map(|(name, _)| name).collect();
    let mut sorted = pairs.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), pairs.len(), "each once");
}

/// The constant names the variable that this jemalloc reads, and the other one is not read.
#[test]
fn the_environment_is_the_one_that_is_read() {
    const TEST: &str = "handle_use::the_environment_is_the_one_that_is_read";
    let narenas =
        || handle().options().and_then(|options| options.get("narenas").map(str::to_owned));
    if is_child(TEST) {
        return eprintln!("<{}>", narenas().unwrap_or_default());
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
