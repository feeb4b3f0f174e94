//! jemalloc's background threads: they do their work, they go when told to, and `fork` leaves them
//! behind.

#![cfg(target_os = "linux")]

#[cfg(all(alloc_switch_jemalloc, not(target_env = "musl")))]
#[path = "support/mallctl.rs"]
mod mallctl;
#[path = "support/process.rs"]
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
fn there_are_none() {
    use alloc_switch::Error;
    let error =
        if cfg!(alloc_switch_jemalloc) { Error::UnsupportedTarget } else { Error::Unsupported };
    assert_eq!(ALLOCATOR.background_threads(true), Err(error));
}

#[cfg(all(alloc_switch_jemalloc, not(target_env = "musl")))]
mod jemalloc {
    use std::thread::sleep;
    use std::time::Duration;

    use crate::process::{in_fork, refuse, resident, small_blocks, threads_named, MIB};
    use crate::ALLOCATOR;

    fn threads() -> usize {
        threads_named("jemalloc_bg_thd")
    }

    /// Waits for what another thread will do: up to a minute, which is no measure of anything.
    fn soon(condition: impl Fn() -> bool) -> bool {
        (0..600).any(|_| {
            sleep(Duration::from_millis(100));
            condition()
        })
    }

    /// One test, because the threads are the process's.
    #[test]
    fn they_give_back_the_memory_of_an_idle_program() {
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
        ALLOCATOR.background_threads(false).unwrap();
        assert!(soon(|| threads() == 0));
        assert!(!enabled());
        that_could_not_be_made_are_off();
    }

    /// jemalloc says that they are on then. It has also miscounted them, and one that was built to
    /// check itself ends the process when they are turned off.
    fn that_could_not_be_made_are_off() {
        if cfg!(feature = "debug") {
            return;
        }
        let status = in_fork(|| {
            ALLOCATOR.background_threads(false).unwrap();
            refuse(libc::SYS_clone3, None, libc::EAGAIN);
            refuse(libc::SYS_clone, None, libc::EAGAIN);
            let control = || ALLOCATOR.write_control("background_thread", true);
            let function = || ALLOCATOR.background_threads(true);
            for on in [&control as &dyn Fn() -> Result<(), alloc_switch::Error>, &function] {
                assert!(on().is_err() && !enabled());
            }
            1
        });
        assert_eq!(status, 1);
    }

    fn enabled() -> bool {
        crate::mallctl::read(c"background_thread").unwrap()
    }
}
