//! A program that says which allocator it has and asks the process whether that is true, in the
//! main thread, in a second one, in a forked child and in a plug-in whose path is the argument; or,
//! with the argument `bench`, measures it.

use alloc_switch::Handle;

alloc_switch::global_allocator!(static ALLOCATOR, conf = "narenas:2");

fn main() {
    #[cfg(not(target_family = "wasm"))]
    if std::env::args().nth(1).as_deref() == Some("bench") {
        return bench();
    }
    println!("{ALLOCATOR}");
    println!("main thread: {:?}", ALLOCATOR.self_check());
    #[cfg(not(target_family = "wasm"))]
    {
        let second = std::thread::spawn(|| (vec![1u8; 1 << 20].len(), ALLOCATOR.self_check()));
        println!("second thread: {:?}", second.join().unwrap().1);
    }
    #[cfg(unix)]
    {
        println!("forked child: {:?}", unix::in_child());
        if let Some(plugin) = std::env::args().nth(1) {
            println!("plug-in: {}", unix::plugin(plugin));
        }
    }
}

/// Four threads that each keep a thousand blocks of mixed sizes and replace one at a time.
#[cfg(not(target_family = "wasm"))]
fn bench() {
    let start = std::time::Instant::now();
    let work = |seed: usize| {
        let mut blocks = vec![Vec::new(); 1000];
        let mut random = seed;
        for _ in 0..1_000_000 {
            random = random.wrapping_mul(1103515245).wrapping_add(12345) & 0x7fff_ffff;
            blocks[random % 1000] = Vec::<u8>::with_capacity(16 + (random >> 10) % 2000);
        }
        std::hint::black_box(&blocks);
    };
    let threads: Vec<_> = (0..4).map(|seed| std::thread::spawn(move || work(seed))).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    println!("{}", start.elapsed().as_millis());
}

#[cfg(unix)]
mod unix {
    use std::ffi::{c_char, c_int, c_void, CStr, CString};

    use alloc_switch::Handle;

    use super::ALLOCATOR;

    extern "C" {
        fn fork() -> c_int;
        fn waitpid(child: c_int, status: *mut c_int, options: c_int) -> c_int;
        fn _exit(status: c_int) -> !;
        fn dlopen(path: *const c_char, mode: c_int) -> *mut c_void;
        fn dlsym(library: *mut c_void, symbol: *const c_char) -> *mut c_void;
        fn dlerror() -> *const c_char;
    }

    /// Allocates and asks in a child that was forked while another thread was allocating.
    pub fn in_child() -> Result<(), c_int> {
        let busy =
            std::thread::spawn(|| (0..20_000).map(|n| vec![1u8; n % 3000].len()).sum::<usize>());
        let mut status = 0;
        // SAFETY: jemalloc and libc both make their allocator usable in a forked child, which is
        // what is asked here.
        unsafe {
            let child = fork();
            if child == 0 {
                let works = vec![1u8; 1 << 16].len() == 1 << 16 && ALLOCATOR.self_check().is_ok();
                _exit(if works { 0 } else { 1 });
            }
            assert!(child > 0 && waitpid(child, &mut status, 0) == child);
        }
        busy.join().unwrap();
        if status == 0 {
            Ok(())
        } else {
            Err(status)
        }
    }

    pub fn plugin(path: String) -> String {
        let path = CString::new(path).unwrap();
        // SAFETY: the strings are C strings, and the symbol is a function of this type.
        unsafe {
            let library = dlopen(path.as_ptr(), 2);
            if library.is_null() {
                return CStr::from_ptr(dlerror()).to_string_lossy().into_owned();
            }
            let line = dlsym(library, c"fixture_line".as_ptr());
            let line: extern "C" fn() -> *const c_char = std::mem::transmute(line);
            CStr::from_ptr(line()).to_string_lossy().into_owned()
        }
    }
}
