//! A program whose allocator is mimalloc where jemalloc is off the list. It says what it has, what
//! the self-check says, and whether mimalloc itself calls a block its own.

use alloc_switch::Handle;

alloc_switch::global_allocator!(
    static ALLOCATOR,
    #[cfg(any(windows, target_arch = "powerpc64"))]
    fallback: mimalloc::MiMalloc = mimalloc::MiMalloc
);

fn main() {
    println!("{ALLOCATOR}");
    println!("main thread: {:?}", ALLOCATOR.self_check());
    let second = std::thread::spawn(|| (vec![1u8; 1 << 20].len(), ALLOCATOR.self_check()));
    println!("second thread: {:?}", second.join().unwrap().1);
    println!("in mimalloc's heap: {}", in_heap(&vec![1u8; 1000]));
}

#[cfg(any(windows, target_arch = "powerpc64"))]
fn in_heap(block: &[u8]) -> bool {
    use std::ffi::c_void;

    use mimalloc as _; // links it where the allocator does not

    extern "C" {
        fn mi_is_in_heap_region(block: *const c_void) -> bool;
    }
    // SAFETY: mimalloc looks the address up in its own tables and does not read from it.
    unsafe { mi_is_in_heap_region(block.as_ptr().cast()) }
}

#[cfg(not(any(windows, target_arch = "powerpc64")))]
fn in_heap(_: &[u8]) -> bool {
    false
}
