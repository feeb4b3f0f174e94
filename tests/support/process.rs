//! What the kernel knows of a test program, and its children.

#![allow(dead_code)] // each test program uses its part

use std::fs;
use std::io::Read;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub const MIB: usize = 1 << 20;

/// Bytes in physical memory, as the kernel counts them. Allocates nothing.
pub fn resident() -> usize {
    status("VmRSS:")
}

/// The most that was ever resident.
pub fn peak_resident() -> usize {
    status("VmHWM:")
}

fn status(key: &str) -> usize {
    let mut bytes = [0; 4096];
    let len =
        fs::File::open("/proc/self/status").expect("/proc is mounted").read(&mut bytes).unwrap();
    let status = std::str::from_utf8(&bytes[..len]).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
}

/// How often to do something again: as many tenths of `usually` as `ALLOC_SWITCH_LOAD` says, by
/// default all of them, and three where nothing is optimised.
pub fn rounds(usually: usize) -> usize {
    let tenths = match std::env::var("ALLOC_SWITCH_LOAD") {
        Ok(load) => load.parse().expect("it is a number"),
        Err(_) if cfg!(debug_assertions) => 3,
        Err(_) => 10,
    };
    (usually * tenths).div_ceil(10)
}

/// Numbers of the whole process follow only what the test does that holds this.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many threads of this process have that name.
pub fn threads_named(name: &str) -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("/proc is mounted");
    let comm =
        |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).unwrap_or_default();
    tasks.map(|task| comm(task.unwrap())).filter(|comm| comm.trim() == name).count()
}

/// `bytes` in small blocks, all written to.
#[allow(clippy::vec_box)] // a block each
pub fn small_blocks(bytes: usize) -> Vec<Box<[u8; 2048]>> {
    (0..bytes / 2048).map(|n| Box::new([n as u8; 2048])).collect()
}

/// The kernel sees that a purge gives memory back, or the allocator says that it cannot.
#[cfg(feature = "handle")]
pub fn purge_gives_memory_back(allocator: &dyn alloc_switch::Handle, can: bool) {
    let _alone = alone();
    let before = resident();
    let mut blocks = small_blocks(128 * MIB);
    let last = blocks.pop(); // glibc gives the end of its heap back unless something holds it
    drop(blocks);
    let held = resident();
    assert!(held > before + 100 * MIB, "{before} {held}");
    if !can {
        return assert_eq!(allocator.purge(), Err(alloc_switch::Error::Unsupported));
    }
    allocator.purge().unwrap();
    let after = resident();
    assert!(after < before + 16 * MIB, "{before} {held} {after}");
    drop(last);
}

/// Runs `work` in a thread of its own and waits for it, in a forked child too, where a thread of
/// the standard library may wait for ever: that has a lock for its threads' names and stacks, which
/// another thread of the parent may have held. glibc's own locks are whole after `fork`.
pub fn in_bare_thread<F: FnOnce() + Send>(work: F) {
    use std::ffi::c_void;
    use std::ptr;

    extern "C" fn start<F: FnOnce()>(work: *mut c_void) -> *mut c_void {
        // SAFETY: it is the `Option` below, which nobody else touches until this thread has ended.
        let work = unsafe { &mut *work.cast::<Option<F>>() };
        work.take().expect("called once")();
        ptr::null_mut()
    }

    let mut work = Some(work);
    let mut thread = 0;
    // SAFETY: `thread` is filled by the first call, and `work` outlives the thread, which the
    // second call waits for. A panic there ends the process: `start` is no Rust function.
    unsafe {
        let argument = (&raw mut work).cast();
        assert_eq!(libc::pthread_create(&mut thread, ptr::null(), start::<F>, argument), 0);
        assert_eq!(libc::pthread_join(thread, ptr::null_mut()), 0);
    }
}

/// Runs `child` in a forked process, which ends there, and returns what it exited with.
pub fn in_fork(child: impl FnOnce() -> u8) -> i32 {
    // SAFETY: the child calls nothing but `child` and `_exit`; it is the allocator's part that is
    // tested.
    unsafe {
        match libc::fork() {
            -1 => panic!("{}", std::io::Error::last_os_error()),
            0 => {
                // It cannot say itself that it hangs; the parent sees the signal.
                libc::alarm(300);
                let status =
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(255);
                libc::_exit(status.into())
            }
            pid => {
                let mut status = 0;
                assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
                assert_eq!(status & 0x7f, 0, "the child was ended by signal {}", status & 0x7f);
                status >> 8 & 0xff
            }
        }
    }
}

/// From here on the kernel answers this system call with an error, in this thread and in those that
/// it starts; with `first`, only where that is the first argument.
#[cfg(target_os = "linux")]
pub fn refuse(call: libc::c_long, first: Option<u32>, errno: i32) {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const SKIP_UNLESS: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const ANSWER: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, k, jf| libc::sock_filter { code, k, jf, jt: 0 };
    let mut filter = vec![
        step(LOAD, std::mem::offset_of!(libc::seccomp_data, nr) as u32, 0),
        step(SKIP_UNLESS, call as u32, if first.is_some() { 3 } else { 1 }),
    ];
    if let Some(first) = first {
        // its lower half
        let high = if cfg!(target_endian = "big") { 4 } else { 0 };
        let at = std::mem::offset_of!(libc::seccomp_data, args) as u32 + high;
        filter.extend([step(LOAD, at, 0), step(SKIP_UNLESS, first, 1)]);
    }
    filter.extend([
        step(ANSWER, libc::SECCOMP_RET_ERRNO | errno as u32, 0),
        step(ANSWER, libc::SECCOMP_RET_ALLOW, 0),
    ]);
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the kernel reads the program, which allows every call but one.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program), 0);
    }
}
