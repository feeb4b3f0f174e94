//! `usable_size` and `reallocate_inplace`, on both allocators, which is also all that a program has to link for it.

use std::alloc::{GlobalAlloc, Layout, System};

use alloc_switch::InPlaceAlloc;

alloc_switch::global_allocator!();

/// Sizes around the edges of jemalloc's classes and of glibc's `mmap` threshold.
const SIZES: [usize; 26] = [
    1,
    7,
    8,
    9,
    16,
    17,
    65,
    100,
    129,
    300,
    1000,
    1025,
    4000,
    4097,
    8192,
    12289,
    14336,
    14337,
    16384,
    20480,
    100_000,
    131_072,
    200_000,
    1 << 20,
    (1 << 20) + 1,
    4 << 20,
];
const ALIGNS: [usize; 8] = [1, 8, 16, 64, 512, 4096, 16384, 1 << 21];

fn fill(ptr: *mut u8, from: usize, to: usize) {
    for i in (from..to).step_by(61).chain(to.checked_sub(1).filter(|&last| last >= from)) {
        // SAFETY: below the size of the block.
        unsafe { ptr.add(i).write(i as u8) };
    }
}

fn check(ptr: *mut u8, from: usize, to: usize) {
    for i in (from..to).step_by(61) {
        // SAFETY: below the size of the block.
        assert_eq!(unsafe { ptr.add(i).read() }, i as u8);
    }
}

/// Every size into every other at every alignment, and what the contract says of it. The block is freed in turn with the
/// least, the largest and a middle size that it fits. Returns how many resizes succeeded.
fn every_resize<A: InPlaceAlloc>(allocator: &A, fits: impl Fn(*mut u8, usize, usize)) -> usize {
    let mut done = 0;
    for align in ALIGNS {
        for (n, size) in SIZES.into_iter().enumerate() {
            for (m, new_size) in SIZES.into_iter().enumerate() {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: the layout has a size, and the block is used as its documentation allows.
                unsafe {
                    let ptr = allocator.alloc(layout);
                    assert!(!ptr.is_null());
                    let usable = allocator.usable_size(ptr, layout);
                    assert!(usable >= size);
                    fits(ptr, usable, align);
                    fill(ptr, 0, size);
                    let reached = allocator.reallocate_inplace(ptr, layout, new_size);
                    let (min, max) = if (new_size > size && reached >= new_size)
                        || (new_size < size && reached < size)
                    {
                        done += 1;
                        fill(ptr, size.min(new_size), reached);
                        (new_size, reached)
                    } else {
                        (size, allocator.usable_size(ptr, layout))
                    };
                    let fitting = Layout::from_size_align(min, align).unwrap();
                    assert_eq!(allocator.usable_size(ptr, fitting), max);
                    check(ptr, 0, size.min(new_size));
                    let size = [min, max, min + (max - min) / 2][(n + m) % 3];
                    fits(ptr, size, align);
                    allocator.dealloc(ptr, Layout::from_size_align(size, align).unwrap());
                }
            }
        }
    }
    done
}

/// What no block can have: the answer is no, and the block is whole.
fn impossible<A: InPlaceAlloc>(allocator: &A) {
    for size in [10, 5000, 1 << 20] {
        let layout = Layout::array::<u8>(size).unwrap();
        // SAFETY: the layout has a size.
        unsafe {
            let ptr = allocator.alloc(layout);
            fill(ptr, 0, size);
            for huge in [isize::MAX as usize, isize::MAX as usize + 1, usize::MAX] {
                assert!(allocator.reallocate_inplace(ptr, layout, huge) < huge);
                check(ptr, 0, size);
            }
            allocator.dealloc(ptr, layout);
        }
    }
}

#[test]
fn system() {
    let allocator = alloc_switch::switch!(system);
    every_resize(&allocator, |_, _, _| {});
    impossible(&allocator);
}

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu", not(alloc_switch_unprefixed)))]
fn glibc_has_room_at_the_end_of_a_block() {
    let allocator = alloc_switch::switch!(system);
    let layout = Layout::array::<u8>(25).unwrap();
    // SAFETY: the layout has a size, and the block ends with one that it fits.
    unsafe {
        let ptr = allocator.alloc(layout);
        // a chunk holds 8 bytes more than a multiple of 16 on 64 bits, 4 more on 32
        let usable = allocator.usable_size(ptr, layout);
        assert_eq!(usable, if size_of::<usize>() == 8 { 40 } else { 28 });
        assert_eq!(allocator.reallocate_inplace(ptr, layout, usable), usable);
        fill(ptr, 0, usable);
        // Bytes beyond what was asked for are moved along.
        let grown = allocator.realloc(ptr, Layout::array::<u8>(usable).unwrap(), 1 << 20);
        check(grown, 0, usable);
        let layout = Layout::array::<u8>(1 << 20).unwrap();
        assert!(
            allocator.reallocate_inplace(grown, layout, 100) >= layout.size(),
            "it never shrinks"
        );
        allocator.dealloc(grown, layout);
    }
}

#[test]
#[cfg(alloc_switch_jemalloc)]
fn jemalloc() {
    let allocator = alloc_switch::switch!(jemalloc);
    let done = every_resize(&allocator, |ptr, size, align| {
        // What `sdallocx` requires. It checks large sizes always, and small ones in a debug build.
        // SAFETY: the functions take any size and alignment and a block.
        let (class, usable) = unsafe {
            let flags = tikv_jemalloc_sys::MALLOCX_ALIGN(align);
            (tikv_jemalloc_sys::nallocx(size, flags), tikv_jemalloc_sys::sallocx(ptr.cast(), 0))
        };
        assert_eq!(
            class, usable,
            "a block of {usable} is not freed with size {size}, alignment {align}"
        );
    });
    assert!(done > 100, "{done}");
    impossible(&allocator);
}

#[test]
#[cfg(alloc_switch_jemalloc)]
fn jemalloc_gives_pages_back_and_takes_them_again() {
    let allocator = alloc_switch::switch!(jemalloc);
    let large = Layout::array::<u8>(1 << 20).unwrap();
    let small = Layout::array::<u8>(64 << 10).unwrap();
    // SAFETY: the layouts have a size, and the block is used with one that it fits.
    unsafe {
        let ptr = allocator.alloc(large);
        fill(ptr, 0, large.size());
        assert_eq!(allocator.reallocate_inplace(ptr, large, small.size()), small.size());
        assert_eq!(allocator.usable_size(ptr, small), small.size());
        // The pages behind it are now another's: the next large block may take them, and then there is no way back.
        assert_eq!(allocator.reallocate_inplace(ptr, small, large.size()), large.size());
        check(ptr, 0, small.size());
        fill(ptr, 0, large.size());
        allocator.dealloc(ptr, large);

        // Small blocks have their size class, and grow into the rest of it.
        let layout = Layout::array::<u8>(65).unwrap();
        let ptr = allocator.alloc(layout);
        assert_eq!(allocator.usable_size(ptr, layout), 80);
        assert_eq!(allocator.reallocate_inplace(ptr, layout, 80), 80);
        assert_eq!(allocator.reallocate_inplace(ptr, layout, 81), 80);
        assert_eq!(allocator.reallocate_inplace(ptr, layout, 64), 80);
        allocator.dealloc(ptr, layout);
    }
}

struct Plain;

// SAFETY: it is `System`.
unsafe impl GlobalAlloc for Plain {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }
}

// SAFETY: the provided functions promise nothing.
unsafe impl InPlaceAlloc for Plain {}

#[test]
fn what_is_provided_answers_as_alloc_system_did() {
    let layout = Layout::array::<u8>(25).unwrap();
    // SAFETY: the layout has a size.
    unsafe {
        let ptr = Plain.alloc(layout);
        assert_eq!(Plain.usable_size(ptr, layout), 25);
        assert_eq!(Plain.reallocate_inplace(ptr, layout, 26), 25);
        assert_eq!(Plain.reallocate_inplace(ptr, layout, 24), 25);
        Plain.dealloc(ptr, layout);
    }
    assert_eq!(every_resize(&Plain, |_, _, _| {}), 0);
}
