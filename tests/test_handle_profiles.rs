//! Heap profiles of a process that is in no state for them: no folder that can be written to, no
//! room, a writer that fails, several at once.

#[path = "support/process.rs"]
mod process;

alloc_switch::global_allocator!(static ALLOCATOR, conf = alloc_switch::conf::PROFILING_ARMED);

#[test]
#[cfg(not(all(alloc_switch_jemalloc, feature = "profiling")))]
fn whoever_cannot_says_so_and_writes_nothing() {
    use alloc_switch::Error::{MissingFeature, Unsupported};

    let error = if cfg!(alloc_switch_jemalloc) { MissingFeature("profiling") } else { Unsupported };
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("no.heap");
    let mut bytes = Vec::new();
    assert_eq!(ALLOCATOR.dump_profile(&path), Err(error));
    assert_eq!(ALLOCATOR.dump_profile_to(&mut bytes), Err(error));
    assert_eq!(ALLOCATOR.reset_profile(Some(12)), Err(error));
    assert!(!path.exists() && bytes.is_empty() && !ALLOCATOR.is_profiling());
    let sentence = error.to_string();
    assert!(sentence.contains("`profiling`") || sentence.contains("choice"), "{sentence}");
}

#[cfg(all(alloc_switch_jemalloc, feature = "profiling", target_os = "linux"))]
mod jemalloc {
    use std::ffi::{CString, OsStr};
    use std::fs;
    use std::io::{self, ErrorKind, Write};
    use std::os::unix::ffi::OsStrExt;
    use std::panic::{catch_unwind, AssertUnwindSafe};
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::sync::Mutex;
    use std::thread;

    use alloc_switch::Error;

    use super::process::{in_fork, MIB};
    use super::ALLOCATOR;

    /// Sampling is the process's, and so are these tests.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    /// A folder of this test's own, empty.
    fn folder(name: &str) -> PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("profiles-{name}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn is_empty(folder: &Path) -> bool {
        fs::read_dir(folder).unwrap().next().is_none()
    }

    fn is_whole(profile: &[u8]) {
        let text = String::from_utf8_lossy(profile);
        assert!(text.starts_with("heap_v2/"), "{text:.200}");
        assert_eq!(text.matches("heap_v2/").count(), 1, "two profiles in one");
        let (_, libraries) = text.split_once("\nMAPPED_LIBRARIES:\n").expect("it is cut off");
        assert!(libraries.contains("[stack]") && libraries.ends_with('\n'), "{libraries}");
    }

    /// A profile with some samples in it, which is the same for as long as `held` is held.
    fn sampled<R>(work: impl FnOnce() -> R) -> R {
        let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        ALLOCATOR.reset_profile(Some(16)).unwrap();
        ALLOCATOR.start_profile().unwrap();
        let held = std::hint::black_box(vec![1_u8; 16 * MIB]);
        ALLOCATOR.stop_profile().unwrap();
        let result = work();
        drop(held);
        result
    }

    const CHILD: &str = "ALLOC_SWITCH_TEST_CHILD";

    #[test]
    fn neither_the_working_directory_nor_a_folder_for_temporary_files_is_needed() {
        if std::env::var_os(CHILD).is_some() {
            return sampled(|| {
                // Not even the superuser writes there.
                assert!(fs::write("here", "").is_err());
                assert!(fs::write(std::env::temp_dir().join("there"), "").is_err());
                let mut profile = Vec::new();
                ALLOCATOR.dump_profile_to(&mut profile).unwrap();
                is_whole(&profile);
                assert!(matches!(ALLOCATOR.dump_profile("relative.heap"), Err(Error::Io(_))));
            });
        }
        let name = "neither_the_working_directory_nor_a_folder_for_temporary_files_is_needed";
        let out = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("jemalloc::{name}"), "--nocapture"])
            .current_dir("/proc")
            .env("TMPDIR", "/nowhere/at/all")
            .env(CHILD, "")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && !said.contains("<jemalloc>"), "{said}");
    }

    #[test]
    fn several_at_once_are_each_whole() {
        sampled(|| {
            let folder = folder("at-once");
            let same = folder.join("same.heap");
            thread::scope(|scope| {
                for n in 0..8 {
                    let (folder, same) = (&folder, &same);
                    scope.spawn(move || {
                        for _ in 0..20 {
                            let mut profile = Vec::new();
                            ALLOCATOR.dump_profile_to(&mut profile).unwrap();
                            is_whole(&profile);
                            let path = folder.join(format!("{n}.heap"));
                            ALLOCATOR.dump_profile(&path).unwrap();
                            is_whole(&fs::read(&path).unwrap());
                            ALLOCATOR.dump_profile(same).unwrap();
                        }
                    });
                }
            });
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 9);
        });
    }

    #[test]
    fn a_full_disk_is_an_error_and_leaves_nothing() {
        sampled(|| {
            let full = Error::Io(ErrorKind::StorageFull);
            assert_eq!(ALLOCATOR.dump_profile("/dev/full"), Err(full));
            assert!(Path::new("/dev/full").exists(), "a device is not removed");
            let mut device = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
            assert_eq!(ALLOCATOR.dump_profile_to(&mut device), Err(full));
            assert_eq!(full.to_string(), "no storage space");
        });
    }

    /// A disk of one page, in a child that has mounts of its own. Who is not the superuser gets them
    /// with a user namespace.
    #[test]
    fn a_small_disk_is_an_error_and_leaves_nothing() {
        extern "C" {
            fn unshare(flags: i32) -> i32;
            fn mount(
                source: *const i8,
                target: *const i8,
                kind: *const i8,
                flags: u64,
                data: *const i8,
            ) -> i32;
        }
        const CLONE_NEWNS: i32 = 0x20000;
        const CLONE_NEWUSER: i32 = 0x1000_0000;
        const PRIVATE: u64 = 1 << 18 | 1 << 14; // MS_PRIVATE | MS_REC

        let folder = folder("small-disk");
        let target = CString::new(folder.as_os_str().as_bytes()).unwrap();
        sampled(|| {
            let status = in_fork(|| {
                // SAFETY: the strings are C strings.
                let mounted = unsafe {
                    (unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWNS | CLONE_NEWUSER) == 0)
                        && mount(
                            c"none".as_ptr().cast(),
                            c"/".as_ptr().cast(),
                            std::ptr::null(),
                            PRIVATE,
                            std::ptr::null(),
                        ) == 0
                        && mount(
                            c"none".as_ptr().cast(),
                            target.as_ptr().cast(),
                            c"tmpfs".as_ptr().cast(),
                            0,
                            c"size=4k".as_ptr().cast(),
                        ) == 0
                };
                if !mounted {
                    return 2;
                }
                let answer = ALLOCATOR.dump_profile(folder.join("program.heap"));
                assert_eq!(answer, Err(Error::Io(ErrorKind::StorageFull)));
                u8::from(is_empty(&folder))
            });
            assert_ne!(
                status, 2,
                "a process may not mount here: take user namespaces, the superuser, or a container \
                 with --cap-add SYS_ADMIN"
            );
            assert_eq!(status, 1);
        });
        assert!(is_empty(&folder));
    }

    /// No file may grow beyond a few bytes, those in memory neither.
    #[test]
    fn a_limit_on_files_is_an_error_and_leaves_nothing() {
        extern "C" {
            fn setrlimit(resource: i32, limit: *const [u64; 2]) -> i32;
            fn signal(number: i32, handler: usize) -> usize;
        }
        const RLIMIT_FSIZE: i32 = 1;
        const RLIMIT_NOFILE: i32 = 7;
        const SIGXFSZ: i32 = 25;
        const SIG_IGN: usize = 1;

        let folder = folder("limit");
        sampled(|| {
            for (resource, limit) in [(RLIMIT_FSIZE, 100), (RLIMIT_NOFILE, 3)] {
                let status = in_fork(|| {
                    // SAFETY: the limit is two numbers, and the signal is ignored.
                    unsafe {
                        signal(SIGXFSZ, SIG_IGN);
                        assert_eq!(setrlimit(resource, &[limit, limit]), 0);
                    }
                    let mut bytes = Vec::new();
                    let answers = [
                        ALLOCATOR.dump_profile(folder.join("program.heap")),
                        ALLOCATOR.dump_profile_to(&mut bytes),
                    ];
                    u8::from(answers.iter().all(Result::is_err))
                });
                assert_eq!(status, 1, "resource {resource}");
                assert!(is_empty(&folder), "resource {resource}");
            }
        });
    }

    #[test]
    fn a_writer_may_fail_panic_and_ask_for_another() {
        struct Fails(ErrorKind);
        impl Write for Fails {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(self.0.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        struct TakesNothing;
        impl Write for TakesNothing {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Ok(0)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        struct Panics;
        impl Write for Panics {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                panic!("out of paper")
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        struct Asks(Vec<u8>, bool);
        impl Write for Asks {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                if !std::mem::replace(&mut self.1, true) {
                    let mut other = Vec::new();
                    ALLOCATOR.dump_profile_to(&mut other).unwrap();
                    is_whole(&other);
                }
                self.0.write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        sampled(|| {
            for kind in [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset] {
                assert_eq!(ALLOCATOR.dump_profile_to(&mut Fails(kind)), Err(Error::Io(kind)));
            }
            let nothing = ALLOCATOR.dump_profile_to(&mut TakesNothing);
            assert_eq!(nothing, Err(Error::Io(ErrorKind::WriteZero)));
            let panic = catch_unwind(AssertUnwindSafe(|| ALLOCATOR.dump_profile_to(&mut Panics)));
            assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"out of paper"));
            let mut asks = Asks(Vec::new(), false);
            ALLOCATOR.dump_profile_to(&mut asks).unwrap();
            is_whole(&asks.0);
        });
        let open = fs::read_dir("/proc/self/fd").unwrap();
        let links = open.filter_map(|link| fs::read_link(link.ok()?.path()).ok());
        let memory = links.filter(|link| link.to_string_lossy().contains("heap profile")).count();
        assert!(memory < 2, "{memory} descriptors stay open");
    }

    #[test]
    fn a_path_is_any_that_the_system_takes() {
        sampled(|| {
            let folder = folder("paths");
            let strange = folder.join(OsStr::from_bytes(b"not \xff\xfe UTF-8, 100 %h\n.heap"));
            ALLOCATOR.dump_profile(&strange).unwrap();
            is_whole(&fs::read(&strange).unwrap());
            fs::write(&strange, vec![b'x'; 4 * MIB]).unwrap();
            ALLOCATOR.dump_profile(&strange).unwrap();
            is_whole(&fs::read(&strange).unwrap()); // replaced, not overwritten
            fs::remove_file(&strange).unwrap();

            assert_eq!(ALLOCATOR.dump_profile(folder.join("a\0b")), Err(Error::Path));
            let long = ALLOCATOR.dump_profile(folder.join("x".repeat(5000)));
            assert!(matches!(long, Err(Error::Path | Error::Io(ErrorKind::InvalidFilename))));
            for (path, kind) in [
                (folder.clone(), ErrorKind::IsADirectory),
                (folder.join("no/such"), ErrorKind::NotFound),
                (PathBuf::new(), ErrorKind::NotFound),
            ] {
                assert_eq!(ALLOCATOR.dump_profile(&path), Err(Error::Io(kind)), "{path:?}");
            }
            assert!(is_empty(&folder));
        });
    }

    #[test]
    fn a_reset_sets_the_rate() {
        let rate = || {
            let mut profile = Vec::new();
            ALLOCATOR.dump_profile_to(&mut profile).unwrap();
            let profile = String::from_utf8_lossy(&profile).into_owned();
            let first = profile.lines().next().unwrap();
            (
                first.strip_prefix("heap_v2/").unwrap().parse::<u64>().unwrap(),
                profile.contains("\n@"),
            )
        };
        sampled(|| {
            assert_eq!(rate(), (1 << 16, true));
            ALLOCATOR.reset_profile(None).unwrap();
            assert_eq!(rate(), (1 << 16, false), "the rate stays, the samples do not");
            for lg_sample in [0, 12, 19, 63] {
                ALLOCATOR.reset_profile(Some(lg_sample)).unwrap();
                assert_eq!(rate().0, 1 << lg_sample);
            }
            // jemalloc takes a rate beyond its largest for that one.
            ALLOCATOR.reset_profile(Some(u32::MAX)).unwrap();
            assert_eq!(rate().0, 1 << 63);
            ALLOCATOR.reset_profile(Some(19)).unwrap();
        });
    }
}
