//! Heap profiles: they hold what is held, and in a process that is in no state for them they are an
//! error, and no part of a profile.

use alloc_switch::conf;

#[path = "../support/process.rs"]
mod process;

alloc_switch::global_allocator!(static ALLOCATOR, conf = conf::PROFILING_ARMED);

#[test]
#[cfg(not(all(alloc_switch_jemalloc, feature = "profiling")))]
fn without_the_feature_it_is_an_error_and_nothing_is_written() {
    use alloc_switch::Error::{MissingFeature, Unsupported};
    use alloc_switch::Handle;

    let error = if cfg!(alloc_switch_jemalloc) { MissingFeature("profiling") } else { Unsupported };
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("no.heap");
    let mut bytes = Vec::new();
    for answer in [
        ALLOCATOR.start_profile(),
        ALLOCATOR.stop_profile(),
        ALLOCATOR.reset_profile(Some(12)),
        ALLOCATOR.dump_profile(&path),
        ALLOCATOR.dump_profile_to(&mut bytes),
    ] {
        assert_eq!(answer, Err(error));
    }
    assert!(!path.exists() && bytes.is_empty() && !ALLOCATOR.is_profiling());
    let sentence = error.to_string();
    assert!(sentence.contains("`profiling`") || sentence.contains("choice"), "{sentence}");
}

#[cfg(all(alloc_switch_jemalloc, feature = "profiling", target_os = "linux"))]
mod jemalloc {
    use std::ffi::OsStr;
    use std::fs;
    use std::io::{self, ErrorKind, Write};
    use std::os::unix::ffi::OsStrExt;
    use std::panic::{catch_unwind, AssertUnwindSafe};
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::sync::{Mutex, MutexGuard};
    use std::thread;

    use alloc_switch::conf::ENVIRONMENT;
    use alloc_switch::{Error, Handle};

    use super::process::{in_bare_thread, in_fork, refuse, MIB};
    use super::ALLOCATOR;

    /// Sampling is the process's, and so are these tests.
    fn alone() -> MutexGuard<'static, ()> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

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
        let _alone = alone();
        ALLOCATOR.reset_profile(Some(16)).unwrap();
        ALLOCATOR.start_profile().unwrap();
        let held = std::hint::black_box(vec![1_u8; 16 * MIB]);
        ALLOCATOR.stop_profile().unwrap();
        let result = work();
        drop(held);
        result
    }

    fn in_memory() -> String {
        let mut profile = Vec::new();
        ALLOCATOR.dump_profile_to(&mut profile).unwrap();
        String::from_utf8(profile).unwrap()
    }

    #[test]
    fn it_holds_what_is_held_while_it_runs() {
        /// The bytes that a dump says are held, estimated from samples: the second line is
        /// `  t*: objects: bytes [0: 0]`.
        fn held() -> usize {
            let dump = in_memory();
            is_whole(dump.as_bytes());
            let total = dump.lines().nth(1).unwrap();
            total.split([':', '[']).nth(2).unwrap().trim().parse().unwrap()
        }

        let _alone = alone();
        let block = || std::hint::black_box(vec![1_u8; 16 * MIB]);
        ALLOCATOR.reset_profile(Some(12)).unwrap();
        let ignored = block();
        assert_eq!((held(), ALLOCATOR.is_profiling()), (0, false), "it has not been started");
        ALLOCATOR.start_profile().unwrap();
        assert!(ALLOCATOR.is_profiling());
        let first = block();
        let one = held();
        assert!(one.abs_diff(16 * MIB) < MIB, "{one}");
        ALLOCATOR.stop_profile().unwrap();
        let after = block();
        assert!(held().abs_diff(one) < MIB, "it has been stopped");
        ALLOCATOR.start_profile().unwrap();
        let second = block();
        let two = held();
        assert!(two.abs_diff(32 * MIB) < MIB, "{two}");
        drop((ignored, first, after));
        assert!(held().abs_diff(16 * MIB) < MIB, "what was sampled is gone");
        drop(second);
        ALLOCATOR.stop_profile().unwrap();
        assert!(held() < MIB);
    }

    #[test]
    fn a_reset_sets_the_rate() {
        let rate = || {
            let profile = in_memory();
            let first = profile.lines().next().unwrap();
            let rate = first.strip_prefix("heap_v2/").unwrap().parse::<u64>().unwrap();
            (rate, profile.contains("\n@"))
        };
        sampled(|| {
            assert_eq!(rate(), (1 << 16, true));
            ALLOCATOR.reset_profile(None).unwrap();
            assert_eq!(rate(), (1 << 16, false), "the rate stays, the samples do not");
            for lg_sample in [0, 12, 19, 31] {
                ALLOCATOR.reset_profile(Some(lg_sample)).unwrap();
                assert_eq!(rate().0, 1 << lg_sample);
            }
            // A rate beyond the largest counts as that.
            ALLOCATOR.reset_profile(Some(u32::MAX)).unwrap();
            assert_eq!(rate().0, 1 << 53.min(usize::BITS - 1));
            ALLOCATOR.reset_profile(Some(19)).unwrap();
        });
    }

    /// Runs a test of this program in a process of its own, where it does its part.
    fn in_child(test: &str, change: impl FnOnce(&mut Command)) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", &format!("jemalloc::{test}"), "--nocapture"]).env(CHILD, "");
        change(&mut command);
        let out = command.output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && !said.contains("<jemalloc>"), "{said}");
        assert!(String::from_utf8_lossy(&out.stdout).contains("1 passed"), "no such test");
    }

    const CHILD: &str = "ALLOC_SWITCH_TEST_CHILD";

    #[test]
    fn without_the_option_it_is_an_error_that_names_it() {
        const TEST: &str = "without_the_option_it_is_an_error_that_names_it";
        if std::env::var_os(CHILD).is_some() {
            let error = Error::MissingOption("prof:true");
            for answer in [
                ALLOCATOR.start_profile(),
                ALLOCATOR.stop_profile(),
                ALLOCATOR.reset_profile(None),
                ALLOCATOR.dump_profile_to(&mut Vec::new()),
            ] {
                assert_eq!(answer, Err(error));
            }
            assert!(!ALLOCATOR.is_profiling());
            let sentence = error.to_string();
            return assert!(sentence.contains("set `conf = \"prof:true\"`"), "{sentence}");
        }
        in_child(TEST, |command| {
            command.env(ENVIRONMENT.unwrap(), "prof:false");
        });
    }

    #[test]
    fn no_folder_that_can_be_written_to_is_needed() {
        const TEST: &str = "no_folder_that_can_be_written_to_is_needed";
        if std::env::var_os(CHILD).is_some() {
            return sampled(|| {
                // Not even the superuser writes there.
                assert!(fs::write("here", "").is_err());
                assert!(fs::write(std::env::temp_dir().join("there"), "").is_err());
                is_whole(in_memory().as_bytes());
                let answer = ALLOCATOR.dump_profile("relative.heap".as_ref());
                assert!(matches!(answer, Err(Error::Io(_))));
            });
        }
        in_child(TEST, |command| {
            command.current_dir("/proc").env("TMPDIR", "/nowhere/at/all");
        });
    }

    /// Where the kernel has no files in memory, or does not permit them, it is a temporary file.
    #[test]
    fn without_files_in_memory_it_goes_through_a_temporary_file_that_is_gone() {
        const TEST: &str = "without_files_in_memory_it_goes_through_a_temporary_file_that_is_gone";
        if std::env::var_os(CHILD).is_some() {
            return sampled(|| {
                refuse(libc::SYS_memfd_create, None, libc::ENOSYS);
                is_whole(in_memory().as_bytes());
                let path = folder("path").join("program.heap");
                ALLOCATOR.dump_profile(&path).unwrap();
                is_whole(&fs::read(path).unwrap());
                let temporary = std::env::temp_dir();
                assert!(is_empty(&temporary));
                fs::remove_dir(temporary).unwrap();
                let answer = ALLOCATOR.dump_profile_to(&mut Vec::new());
                assert_eq!(answer, Err(Error::Io(ErrorKind::NotFound)));
            });
        }
        let temporary = folder("temporary").join(OsStr::from_bytes(b"not \xff UTF-8"));
        fs::create_dir(&temporary).unwrap();
        in_child(TEST, |command| {
            command.env("TMPDIR", temporary);
        });
    }

    #[test]
    fn several_at_once_are_each_whole() {
        sampled(|| {
            let folder = folder("at-once");
            thread::scope(|scope| {
                for n in 0..8 {
                    let folder = &folder;
                    scope.spawn(move || {
                        for _ in 0..20 {
                            is_whole(in_memory().as_bytes());
                            let path = folder.join(format!("{n}.heap"));
                            ALLOCATOR.dump_profile(&path).unwrap();
                            is_whole(&fs::read(&path).unwrap());
                        }
                    });
                }
            });
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 8);
        });
    }

    #[test]
    fn a_full_disk_is_an_error_and_leaves_nothing() {
        sampled(|| {
            let full = Error::Io(ErrorKind::StorageFull);
            assert_eq!(ALLOCATOR.dump_profile("/dev/full".as_ref()), Err(full));
            assert!(Path::new("/dev/full").exists(), "a device is not removed");
            let mut device = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
            assert_eq!(ALLOCATOR.dump_profile_to(&mut device), Err(full));
            let mut buffered = io::BufWriter::with_capacity(MIB, device);
            assert_eq!(ALLOCATOR.dump_profile_to(&mut buffered), Err(full));
            let _ = buffered.into_parts(); // which does not write again
        });
    }

    /// A profile has to be read back, and written to its end.
    #[test]
    #[cfg_attr(feature = "debug", ignore = "jemalloc ends the process where it cannot write")]
    fn a_part_of_a_profile_is_not_left_in_a_file() {
        use std::os::fd::AsRawFd;

        let folder = folder("part");
        sampled(|| {
            let status = in_fork(|| {
                // The profile's own descriptor is the next one, and the file's the one after it.
                let next = fs::File::open("/dev/null").unwrap().as_raw_fd() as u32;
                refuse(libc::SYS_read, Some(next), libc::EIO);
                let mut bytes = Vec::new();
                let answer = ALLOCATOR.dump_profile_to(&mut bytes);
                assert!(matches!(answer, Err(Error::Io(_))) && bytes.is_empty(), "{answer:?}");
                1
            });
            assert_eq!(status, 1);
            let status = in_fork(|| {
                let next = fs::File::open("/dev/null").unwrap().as_raw_fd() as u32;
                refuse(libc::SYS_write, Some(next + 1), libc::ENOSPC);
                let path = folder.join("program.heap");
                fs::write(&path, "what was there before").unwrap();
                let answer = ALLOCATOR.dump_profile(&path);
                // jemalloc writes through a descriptor of that number too.
                assert_eq!(answer, Err(Error::NotWritten));
                let left = fs::read(&path).unwrap();
                assert_eq!(left, b"what was there before");
                1
            });
            assert_eq!(status, 1);
        });
    }

    /// It writes as `fs::write` does: into the file that is there, whoever's it is and however it
    /// is named, and leaves everything else of it alone.
    #[test]
    fn a_file_that_is_there_stays_the_same_file() {
        use std::os::unix::fs::{symlink, MetadataExt, PermissionsExt};

        let folder = folder("there");
        sampled(|| {
            let [file, link, hard] = ["file", "link", "hard"].map(|name| folder.join(name));
            fs::write(&file, vec![b'x'; 4 * MIB]).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
            symlink("file", &link).unwrap();
            fs::hard_link(&file, &hard).unwrap();
            let before = fs::metadata(&file).unwrap();
            for path in [&file, &link, &hard] {
                ALLOCATOR.dump_profile(path).unwrap();
                is_whole(&fs::read(&file).unwrap());
                let now = fs::metadata(&file).unwrap();
                assert_eq!((now.ino(), now.mode()), (before.ino(), before.mode()));
                assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
            }
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);
        });
    }

    /// A number that is free is the one that the profile gets meanwhile.
    #[test]
    fn the_number_of_a_descriptor_that_is_not_open_is_no_file() {
        use std::os::fd::AsRawFd;

        sampled(|| {
            let status = in_fork(|| {
                let free = fs::File::open("/dev/null").unwrap().as_raw_fd();
                let path = format!("/proc/self/fd/{free}");
                u8::from(ALLOCATOR.dump_profile(path.as_ref()) == Err(Error::NotWritten))
            });
            assert_eq!(status, 1);
        });
    }

    #[test]
    fn a_path_is_any_that_the_system_takes() {
        sampled(|| {
            let folder = folder("paths");
            let strange = folder.join(OsStr::from_bytes(b"not \xff\xfe UTF-8, 100 %h\n.heap"));
            ALLOCATOR.dump_profile(&strange).unwrap();
            is_whole(&fs::read(&strange).unwrap());
            fs::remove_file(&strange).unwrap();

            let refused = ALLOCATOR.dump_profile("/proc/self/oom_score_adj".as_ref());
            assert!(matches!(refused, Err(Error::Io(_))), "{refused:?}");
            for (path, kind) in [
                (folder.join("a\0b"), ErrorKind::InvalidInput),
                (folder.join("x".repeat(5000)), ErrorKind::InvalidFilename),
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
    #[cfg_attr(feature = "debug", ignore = "jemalloc ends the process where it cannot write")]
    fn without_descriptors_it_is_an_error_or_whole() {
        sampled(|| {
            let answers: Vec<_> = (0..5)
                .map(|spare| {
                    in_fork(|| {
                        let mut bytes = Vec::with_capacity(MIB);
                        let limit = libc::rlimit { rlim_cur: 100, rlim_max: 100 };
                        // SAFETY: the call reads the limit.
                        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
                        let mut files: Vec<_> =
                            std::iter::from_fn(|| fs::File::open("/dev/null").ok()).collect();
                        files.truncate(files.len() - spare);
                        let answer = ALLOCATOR.dump_profile_to(&mut bytes);
                        assert_eq!(answer.is_err(), bytes.is_empty());
                        match answer {
                            Ok(()) => u8::from(bytes.starts_with(b"heap_v2/")),
                            Err(Error::TooManyFiles) => 2,
                            Err(Error::NotWritten) => 3,
                            Err(other) => panic!("{other:?}"),
                        }
                    })
                })
                .collect();
            assert_eq!(answers, [2, 3, 1, 1, 1]);
        });
    }

    /// A thread may have descriptors of its own.
    #[test]
    fn a_thread_writes_to_its_own_descriptors() {
        use std::os::fd::AsRawFd;

        let precious = folder("own-descriptors").join("precious");
        fs::write(&precious, "precious").unwrap();
        sampled(|| {
            let status = in_fork(|| {
                let file = fs::File::options().append(true).open(&precious).unwrap();
                in_bare_thread(|| {
                    // SAFETY: the thread has descriptors of its own then, and closes one of those.
                    unsafe {
                        assert_eq!(libc::unshare(libc::CLONE_FILES), 0);
                        libc::close(file.as_raw_fd());
                    }
                    is_whole(in_memory().as_bytes());
                });
                u8::from(fs::read(&precious).unwrap() == b"precious")
            });
            assert_eq!(status, 1);
        });
    }

    #[test]
    fn a_call_that_a_signal_interrupts_goes_on() {
        extern "C" fn nothing(_: i32) {}

        let folder = folder("signals");
        sampled(|| {
            let status = in_fork(|| {
                // SAFETY: the handler does nothing, and the calls read what they are given.
                unsafe {
                    let mut action: libc::sigaction = std::mem::zeroed();
                    action.sa_sigaction = nothing as extern "C" fn(i32) as usize;
                    libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut());
                    let often = libc::timeval { tv_sec: 0, tv_usec: 200 };
                    let timer = libc::itimerval { it_interval: often, it_value: often };
                    libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut());
                }
                let path = folder.join("program.heap");
                (0..200).for_each(|_| ALLOCATOR.dump_profile(&path).unwrap());
                is_whole(&fs::read(&path).unwrap());
                1
            });
            assert_eq!(status, 1);
        });
    }

    #[test]
    fn a_writer_may_fail_panic_and_ask_for_another() {
        struct Writer<F>(F);
        impl<F: FnMut(&[u8]) -> io::Result<usize>> Write for Writer<F> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                (self.0)(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        sampled(|| {
            for kind in [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset] {
                let mut fails = Writer(|_: &[u8]| Err(kind.into()));
                assert_eq!(ALLOCATOR.dump_profile_to(&mut fails), Err(Error::Io(kind)));
            }
            let nothing = ALLOCATOR.dump_profile_to(&mut Writer(|_: &[u8]| Ok(0)));
            assert_eq!(nothing, Err(Error::Io(ErrorKind::WriteZero)));
            let mut panics = Writer(|_: &[u8]| panic!("out of paper"));
            let panic = catch_unwind(AssertUnwindSafe(|| ALLOCATOR.dump_profile_to(&mut panics)));
            assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"out of paper"));
            let (mut asked, mut profile) = (false, Vec::new());
            let mut asks = Writer(|bytes: &[u8]| {
                if !std::mem::replace(&mut asked, true) {
                    is_whole(in_memory().as_bytes());
                }
                profile.write(bytes)
            });
            ALLOCATOR.dump_profile_to(&mut asks).unwrap();
            is_whole(&profile);

            let open = fs::read_dir("/proc/self/fd").unwrap();
            let links = open.filter_map(|link| fs::read_link(link.ok()?.path()).ok());
            let memory = links.filter(|link| link.to_string_lossy().contains("heap profile"));
            assert_eq!(memory.count(), 0, "descriptors stay open");
        });
    }

    /// These take a user namespace, the superuser, or a container with CAP_SYS_ADMIN.
    mod privileged {
        use std::ffi::{CStr, CString};

        use super::*;

        /// Who is not the superuser becomes that of a user namespace of this process's own.
        fn unshare(flags: i32) {
            // SAFETY: the calls take flags and answer.
            let user = unsafe {
                if libc::unshare(flags) == 0 {
                    return;
                }
                let user = libc::geteuid();
                let namespace = libc::unshare(flags | libc::CLONE_NEWUSER);
                assert_eq!(namespace, 0, "a process may not mount here");
                user
            };
            fs::write("/proc/self/setgroups", "deny").unwrap();
            fs::write("/proc/self/uid_map", format!("0 {user} 1")).unwrap();
        }

        /// Mounts an empty file system at `target`, in this process's own view of the disks.
        fn mount_tmpfs(target: &Path, options: &CStr) {
            let target = CString::new(target.as_os_str().as_bytes()).unwrap();
            let (tmpfs, nothing) = (c"tmpfs".as_ptr(), std::ptr::null());
            unshare(libc::CLONE_NEWNS);
            let all = libc::MS_PRIVATE | libc::MS_REC;
            // SAFETY: the strings are C strings.
            unsafe {
                assert_eq!(libc::mount(tmpfs, c"/".as_ptr(), nothing, all, nothing.cast()), 0);
                let options = options.as_ptr().cast();
                assert_eq!(libc::mount(tmpfs, target.as_ptr(), tmpfs, 0, options), 0);
            }
        }

        #[test]
        fn a_small_disk_is_an_error_and_leaves_no_part() {
            let folder = folder("small-disk");
            sampled(|| {
                let status = in_fork(|| {
                    mount_tmpfs(&folder, c"size=4k");
                    let path = folder.join("program.heap");
                    let full = Err(Error::Io(ErrorKind::StorageFull));
                    assert_eq!(ALLOCATOR.dump_profile(&path), full);
                    assert_eq!(fs::metadata(&path).unwrap().len(), 0, "a part of a profile");
                    1
                });
                assert_eq!(status, 1);
            });
            assert!(is_empty(&folder));
        }

        /// Files in memory have no name then.
        #[test]
        fn without_proc_it_goes_through_a_temporary_file_that_is_gone() {
            let folder = folder("no-proc");
            sampled(|| {
                let status = in_fork(|| {
                    let value = CString::new(folder.as_os_str().as_bytes()).unwrap();
                    // SAFETY: both are C strings, and the child has one thread.
                    assert_eq!(unsafe { libc::setenv(c"TMPDIR".as_ptr(), value.as_ptr(), 1) }, 0);
                    mount_tmpfs(Path::new("/proc"), c"");
                    let text = in_memory();
                    assert!(text.starts_with("heap_v2/65536\n") && text.contains("\n@"));
                    assert!(is_empty(&folder));
                    1
                });
                assert_eq!(status, 1);
            });
        }
    }
}
