//! jemalloc's background threads: they do their work, they go when told to, `fork` leaves them
//! behind, and those that could not be made are said.

#![cfg(target_os = "linux")]

#[cfg(all(alloc_switch_jemalloc, not(target_env = "musl")))]
#[path = "../support/mallctl.rs"]
mod mallctl;
#[path = "../support/process.rs"]
mod process;

#[cfg(alloc_switch_jemalloc)]
alloc_switch::global_allocator!(
    static ALLOCATOR,
    // what is freed is due after a second, and large extents no sooner
    conf = "dirty_decay_ms:1000,muzzy_decay_ms:0,oversize_threshold:0,background_thread:false"
);
#[cfg(not(alloc_switch_jemalloc))]
alloc_switch::global_allocator!(static ALLOCATOR);

#[test]
#[cfg(not(all(alloc_switch_jemalloc, not(target_env = "musl"))))]
fn there_are_none_elsewhere() {
    use alloc_switch::{Error, Handle};

    let error =
        if cfg!(alloc_switch_jemalloc) { Error::UnsupportedTarget } else { Error::Unsupported };
    assert_eq!(ALLOCATOR.background_threads(true), Err(error));
    assert_eq!(ALLOCATOR.background_threads(false), Err(error));
}

#[cfg(all(alloc_switch_jemalloc, not(target_env = "musl")))]
mod jemalloc {
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    use std::sync::Barrier;
    use std::thread::{scope, sleep};
    use std::time::Duration;

    use alloc_switch::conf::ENVIRONMENT;
    use alloc_switch::{Error, Handle};

    use crate::process::{alone, in_fork, refuse, resident, small_blocks, threads_named, MIB};
    use crate::ALLOCATOR;

    fn threads() -> usize {
        threads_named("jemalloc_bg_thd")
    }

    fn enabled() -> bool {
        crate::mallctl::read(c"background_thread").unwrap()
    }

    /// Waits for what another thread will do: up to a minute, which is no measure of anything.
    fn soon(condition: impl Fn() -> bool) -> bool {
        (0..600).any(|_| {
            sleep(Duration::from_millis(100));
            condition()
        })
    }

    #[test]
    fn they_give_back_the_memory_of_an_idle_program() {
        let _alone = alone();
        assert_eq!(threads(), 0);
        let before = resident();
        // Few blocks, because each that is freed may do what is due by then.
        let blocks: Vec<Vec<u8>> =
            (0..32).map(|_| std::hint::black_box(vec![1; 4 * MIB])).collect();
        drop(blocks);
        // A program that does not allocate keeps what it has freed, however long that is due.
        sleep(Duration::from_secs(2));
        let freed = resident();
        assert!(freed > before + 64 * MIB, "{before} {freed}");

        ALLOCATOR.background_threads(true).unwrap();
        assert!(soon(|| threads() > 0));
        let given_back = soon(|| resident() < before + 30 * MIB);
        assert!(given_back, "{before} {freed} {}", resident());

        // A child has none, is told so, and may have them again.
        let status = in_fork(|| {
            let off = threads() == 0 && !enabled();
            drop(std::hint::black_box(small_blocks(MIB)));
            ALLOCATOR.purge().unwrap();
            ALLOCATOR.background_threads(false).unwrap();
            ALLOCATOR.background_threads(true).unwrap();
            let on = soon(|| threads() > 0) && enabled();
            // and its own child
            let grandchild = in_fork(|| (threads() == 0 && !enabled()).into());
            ALLOCATOR.background_threads(false).unwrap();
            drop(std::hint::black_box(small_blocks(MIB)));
            u8::from(off)
                | u8::from(on) << 1
                | (grandchild as u8) << 2
                | u8::from(soon(|| threads() == 0)) << 3
        });
        assert_eq!(
            status, 0b1111,
            "off after fork, on again, off in the grandchild, off when told to"
        );
        assert!(threads() > 0 && enabled(), "the parent keeps them");

        ALLOCATOR.background_threads(true).unwrap();
        assert!(soon(|| threads() > 0) && enabled(), "started again");
        ALLOCATOR.background_threads(false).unwrap();
        ALLOCATOR.background_threads(false).unwrap();
        assert!(soon(|| threads() == 0));
        assert!(!enabled());
    }

    /// Whoever asks last has the last word, and nothing hangs.
    #[test]
    fn they_may_be_asked_for_by_several_threads_at_once() {
        let _alone = alone();
        let start = Barrier::new(4);
        scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    start.wait();
                    for n in 0..50 {
                        ALLOCATOR.background_threads(n % 4 != 0).unwrap();
                        drop(std::hint::black_box(small_blocks(MIB / 8)));
                    }
                });
            }
        });
        ALLOCATOR.background_threads(true).unwrap();
        assert!(soon(|| threads() > 0) && enabled());
        ALLOCATOR.background_threads(false).unwrap();
        assert!(soon(|| threads() == 0) && !enabled());
    }

    /// jemalloc says that they are on then.
    #[test]
    // jemalloc has also miscounted them, and one that checks itself ends the process when they are
    // turned off.
    #[cfg_attr(feature = "debug", ignore = "jemalloc ends the process")]
    fn that_could_not_be_made_are_an_error_and_off() {
        let _alone = alone();
        let status = in_fork(|| {
            ALLOCATOR.background_threads(false).unwrap();
            refuse(libc::SYS_clone3, None, libc::EAGAIN);
            refuse(libc::SYS_clone, None, libc::EAGAIN);
            for _ in 0..2 {
                assert_eq!(ALLOCATOR.background_threads(true), Err(Error::NoThread));
                assert!(!enabled());
                assert_eq!(ALLOCATOR.background_threads(false), Ok(()));
            }
            1
        });
        assert_eq!(status, 1);
        let sentence = Error::NoThread.to_string();
        assert!(sentence.starts_with("no background thread could be made"), "{sentence}");
    }

    /// A process that starts with `background_thread:true`, and in which the stack of a thread has
    /// no room. jemalloc leaves its work to threads that are not there, until it is asked for them.
    #[test]
    #[cfg(target_pointer_width = "64")]
    #[cfg_attr(feature = "debug", ignore = "jemalloc ends the process")]
    fn that_could_not_be_made_at_the_start_are_an_error_when_asked_for() {
        const TEST: &str =
            "jemalloc::that_could_not_be_made_at_the_start_are_an_error_when_asked_for";
        const CHILD: &str = "ALLOC_SWITCH_TEST_CHILD";
        if std::env::var_os(CHILD).is_some() {
            assert!(enabled() && threads() == 0, "what jemalloc says, and what there is");
            assert_eq!(ALLOCATOR.self_check(), Ok(()), "it does not look for them");
            let held = |when: &str| {
                let resident = resident();
                println!("{when}: {} MiB resident", resident / MIB);
                resident
            };
            let before = held("before");
            drop(std::hint::black_box(small_blocks(128 * MIB)));
            // With due memory, a thread's own work would return it now.
            let work = || {
                sleep(Duration::from_millis(1500));
                (0..64).for_each(|_| drop(std::hint::black_box(small_blocks(MIB))));
            };
            (0..3).for_each(|_| work());
            let kept = held("a while after 128 MiB were freed");
            assert!(kept > before + 100 * MIB, "nobody returns it: {before} {kept}");
            assert_eq!(ALLOCATOR.background_threads(true), Err(Error::NoThread));
            assert!(!enabled());
            let is_returned = (0..40).any(|_| {
                work();
                resident() < before + 32 * MIB
            });
            assert!(is_returned, "by this thread now: {before} {kept} {}", held("then"));
            return;
        }
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", TEST, "--nocapture", "--test-threads=1"]).env(CHILD, "");
        command.env(ENVIRONMENT.unwrap(), "background_thread:true");
        // SAFETY: between fork and exec the child calls a system call, which reads its argument.
        unsafe {
            command.pre_exec(|| {
                for (resource, bytes) in
                    [(libc::RLIMIT_STACK, 16 << 30), (libc::RLIMIT_AS, 8_000_000 << 10)]
                {
                    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
                    if libc::setrlimit(resource, &limit) != 0 {
                        return Err(std::io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
        let out = command.output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout);
        let failed = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && said.contains("1 passed"), "{said}{failed}");
    }
}
