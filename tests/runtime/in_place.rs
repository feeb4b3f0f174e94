//! `usable_size` and `reallocate_inplace`, on both allocators and on one of the author's. Sizes
//! that depend on the page are in pages.
//!
//! That the compiler does not connect the pointer after a resize with the one before is seen in an
//! optimised program: `grow_in_place` of the fixture `uses-a-handle`, which tests/artifacts builds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;

use alloc_switch::InPlaceAlloc;
use bytes::is_full_of;

#[path = "../support/bytes.rs"]
mod bytes;
#[cfg(alloc_switch_jemalloc)]
#[path = "../support/mallctl.rs"]
mod mallctl;

// An allocator with nothing but what it must have: `System`'s own functions are not asked.
alloc_switch::global_allocator!(static ALLOCATOR = custom: System = System);

const SYSTEM: alloc_switch::switch!(system) = <alloc_switch::switch!(system)>::new();
#[cfg(alloc_switch_jemalloc)]
const JEMALLOC: alloc_switch::switch!(jemalloc) = <alloc_switch::switch!(jemalloc)>::new();

/// jemalloc's page, which is at least the kernel's; the kernel's where there is no jemalloc to ask.
fn page() -> usize {
    #[cfg(alloc_switch_jemalloc)]
    return mallctl::read(c"arenas.page").unwrap();
    #[cfg(not(alloc_switch_jemalloc))]
    return 4096;
}

fn bytes(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

/// Every size into every other at every alignment, and what the contract says of it; `fits` looks
/// at a block before it is freed. Returns how many resizes to another size succeeded.
fn every_resize<A: InPlaceAlloc>(allocator: &A, fits: impl Fn(*mut u8, Layout)) -> usize {
    let page = page();
    // Around the edges of jemalloc's classes, the largest small one of which is three and a half
    // pages, and of glibc's `mmap` threshold.
    let sizes = [
        [1, 16, 17, 65, 1000, page + 1, 3 * page + 1].as_slice(),
        &[page * 7 / 2, page * 7 / 2 + 1, 4 * page, 5 * page, 131_072, 200_000, 1 << 20],
    ]
    .concat();
    let pairs = || sizes.iter().flat_map(|&size| sizes.iter().map(move |&new| (size, new)));
    let mut done = 0;
    for align in [1, 64, 4096, 1 << 21] {
        for (size, new_size) in pairs() {
            let mut layout = bytes(size, align);
            // SAFETY: the layout has a size, and the block is used as its documentation allows.
            unsafe {
                let mut block = black_box(allocator.alloc(layout));
                assert!(allocator.usable_size(block, layout) >= size);
                block.write_bytes(1, size);
                // What no block can have: the answer is no, and the block is whole.
                for huge in [isize::MAX as usize, isize::MAX as usize + 1, usize::MAX] {
                    assert_eq!(allocator.reallocate_inplace(block, layout, huge), None);
                }
                if let Some(resized) = allocator.reallocate_inplace(block, layout, new_size) {
                    assert_eq!(resized.as_ptr(), block, "it never moves");
                    block = resized.as_ptr();
                    layout = bytes(new_size, align);
                    done += usize::from(new_size != size);
                    assert!(allocator.usable_size(block, layout) >= new_size);
                }
                assert!(is_full_of(1, block, layout.size().min(size)), "{size} to {new_size}");
                block.write_bytes(2, layout.size());
                fits(block, layout);
                allocator.dealloc(block, layout);
            }
        }
    }
    done
}

#[test]
fn the_system_allocator_keeps_the_contract() {
    every_resize(&SYSTEM, |_, _| {});
}

#[test]
fn an_authors_allocator_leaves_a_block_as_it_is() {
    let done = every_resize(&ALLOCATOR, |block, layout| {
        // SAFETY: the block has this layout.
        assert_eq!(unsafe { ALLOCATOR.usable_size(block, layout) }, layout.size());
    });
    assert_eq!(done, 0);
}

#[test]
#[cfg(alloc_switch_jemalloc)]
fn jemalloc_keeps_the_contract() {
    let done = every_resize(&JEMALLOC, |block, layout| {
        // What `sdallocx` requires. It checks large sizes always, and small ones in a debug build.
        // SAFETY: the functions take any size and alignment and a block.
        let (class, usable) = unsafe {
            let flags = tikv_jemalloc_sys::MALLOCX_ALIGN(layout.align());
            let class = tikv_jemalloc_sys::nallocx(layout.size(), flags);
            (class, tikv_jemalloc_sys::sallocx(block.cast(), 0))
        };
        assert_eq!(class, usable, "a block of {usable} is not freed as {layout:?}");
    });
    assert!(done > 50, "{done}");
}

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu", not(alloc_switch_malloc)))]
fn a_block_of_glibc_grows_into_its_usable_size_and_never_shrinks() {
    // SAFETY: the layout has a size, and the block ends with one that it fits.
    unsafe {
        let block = SYSTEM.alloc(bytes(25, 1));
        let usable = SYSTEM.usable_size(block, bytes(25, 1));
        assert!(usable > 25);
        assert_eq!(SYSTEM.reallocate_inplace(block, bytes(25, 1), usable + 1), None);
        let block = SYSTEM.reallocate_inplace(block, bytes(25, 1), usable).unwrap().as_ptr();
        block.write_bytes(1, usable);
        assert_eq!(SYSTEM.reallocate_inplace(block, bytes(usable, 1), usable - 1), None);
        // Bytes beyond what was asked for first are moved along.
        let block = SYSTEM.realloc(block, bytes(usable, 1), 1 << 20);
        assert!(is_full_of(1, block, usable));
        SYSTEM.dealloc(block, bytes(1 << 20, 1));
    }
}

#[test]
#[cfg(alloc_switch_jemalloc)]
fn a_large_block_of_jemalloc_shrinks_and_grows_and_a_small_one_stays_in_its_class() {
    let (large, small) = (bytes(256 * page(), 1), bytes(16 * page(), 1));
    // SAFETY: the layouts have a size, and the block is used with one that it fits.
    unsafe {
        let block = JEMALLOC.alloc(large);
        let block = JEMALLOC.reallocate_inplace(block, large, small.size()).unwrap().as_ptr();
        assert_eq!(JEMALLOC.usable_size(block, small), small.size());
        // The pages behind it are now another's: the next large block may take them, and then there
        // is no way back.
        let block = JEMALLOC.reallocate_inplace(block, small, large.size()).unwrap().as_ptr();
        JEMALLOC.dealloc(block, large);

        let block = JEMALLOC.alloc(bytes(65, 1));
        assert_eq!(JEMALLOC.usable_size(block, bytes(65, 1)), 80);
        assert_eq!(JEMALLOC.reallocate_inplace(block, bytes(65, 1), 81), None);
        assert_eq!(JEMALLOC.reallocate_inplace(block, bytes(65, 1), 64), None);
        let block = JEMALLOC.reallocate_inplace(block, bytes(65, 1), 80).unwrap().as_ptr();
        let block = JEMALLOC.reallocate_inplace(block, bytes(80, 1), 66).unwrap().as_ptr();
        JEMALLOC.dealloc(block, bytes(66, 1));
    }
}
