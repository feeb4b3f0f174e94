//! `usable_size` and `reallocate_inplace`, on both allocators and on one of the program's own.
//! Sizes that depend on the page are in pages.
//!
//! That the compiler does not connect the pointer after a resize with the one before is seen in an
//! optimised program: `grow_in_place` of the fixture `uses-a-handle`, which tests/artifacts builds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;

use alloc_switch::InPlaceAlloc;

#[cfg(alloc_switch_jemalloc)]
#[path = "../support/mallctl.rs"]
mod mallctl;

alloc_switch::global_allocator!(static ALLOCATOR);

type OnSystem = alloc_switch::switch!(system);

/// An allocator with nothing but what it must have.
struct Plain;

// SAFETY: both functions are `System`'s.
unsafe impl GlobalAlloc for Plain {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the layout has a size, as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the block is `System`'s with this layout, as the caller promises.
        unsafe { System.dealloc(ptr, layout) }
    }
}

// SAFETY: the default methods change nothing.
unsafe impl InPlaceAlloc for Plain {}

/// jemalloc's page, which is at least the kernel's; the kernel's where there is no jemalloc to ask.
fn page() -> usize {
    #[cfg(alloc_switch_jemalloc)]
    return mallctl::read(c"arenas.page").unwrap();
    #[cfg(not(alloc_switch_jemalloc))]
    return 4096;
}

/// Sizes around the edges of jemalloc's classes, the largest small one of which is three and a half
/// pages, and of glibc's `mmap` threshold.
fn sizes() -> Vec<usize> {
    let page = page();
    let mut sizes =
        vec![1, 7, 8, 9, 16, 17, 65, 100, 129, 300, 1000, 1025, 4000, 100_000, 131_072, 200_000];
    sizes.extend([page + 1, 2 * page, 3 * page + 1, 4 * page, 5 * page]);
    sizes.extend([page * 7 / 2, page * 7 / 2 + 1]);
    sizes.extend([1 << 20, (1 << 20) + 1, 4 << 20]);
    sizes
}

const ALIGNS: [usize; 8] = [1, 8, 16, 64, 512, 4096, 16384, 1 << 21];

fn fill(ptr: *mut u8, from: usize, to: usize) {
    for i in (from.next_multiple_of(61)..to)
        .step_by(61)
        .chain(to.checked_sub(1).filter(|&last| last >= from))
    {
        // SAFETY: below the size of the block.
        unsafe { ptr.add(i).write(i as u8) };
    }
}

fn check(ptr: *mut u8, from: usize, to: usize) {
    for i in (from.next_multiple_of(61)..to).step_by(61) {
        // SAFETY: below the size of the block.
        assert_eq!(unsafe { ptr.add(i).read() }, i as u8);
    }
}

/// Every size into every other at every alignment, and what the contract says of it. Returns how
/// many resizes to another size succeeded.
fn every_resize<A: InPlaceAlloc>(allocator: &A, fits: impl Fn(*mut u8, usize, usize)) -> usize {
    let (sizes, mut done) = (sizes(), 0);
    for align in ALIGNS {
        for &size in &sizes {
            for &new_size in &sizes {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: the layout has a size, and the block is used as its documentation allows.
                unsafe {
                    let mut ptr = allocator.alloc(layout);
                    assert!(!ptr.is_null());
                    let usable = allocator.usable_size(ptr, layout);
                    assert!(usable >= size);
                    fits(ptr, size, align);
                    fill(ptr, 0, size);
                    let address = ptr as usize;
                    let mut reached = layout;
                    if let Some(resized) = allocator.reallocate_inplace(ptr, layout, new_size) {
                        ptr = resized.as_ptr();
                        assert_eq!(ptr as usize, address, "it never moves");
                        reached = Layout::from_size_align(new_size, align).unwrap();
                        done += usize::from(new_size != size);
                        check(ptr, 0, size.min(new_size));
                        fill(ptr, size.min(new_size), new_size);
                    }
                    assert!(allocator.usable_size(ptr, reached) >= reached.size());
                    check(ptr, 0, reached.size());
                    fits(ptr, reached.size(), align);
                    allocator.dealloc(ptr, reached);
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
            let ptr = black_box(allocator.alloc(layout));
            fill(ptr, 0, size);
            for huge in [isize::MAX as usize, isize::MAX as usize + 1, usize::MAX] {
                assert_eq!(allocator.reallocate_inplace(ptr, layout, huge), None);
                check(ptr, 0, size);
            }
            allocator.dealloc(ptr, layout);
        }
    }
}

#[test]
fn the_system_allocator_keeps_the_contract() {
    let allocator = OnSystem::new();
    every_resize(&allocator, |_, _, _| {});
    impossible(&allocator);
}

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu", not(alloc_switch_malloc)))]
fn a_block_of_glibc_grows_into_its_usable_size() {
    let allocator = OnSystem::new();
    let layout = Layout::array::<u8>(25).unwrap();
    // SAFETY: the layout has a size, and the block ends with one that it fits.
    unsafe {
        let ptr = allocator.alloc(layout);
        // a chunk holds 8 bytes more than a multiple of 16 on 64 bits, 4 more on 32
        let usable = allocator.usable_size(ptr, layout);
        let least = if size_of::<usize>() == 8 { 40 } else { 28 };
        // The rest of a free chunk is given along if it is too small for one.
        assert!(usable == least || usable == least + 16, "{usable}");
        assert_eq!(allocator.reallocate_inplace(ptr, layout, usable + 1), None);
        let ptr = allocator.reallocate_inplace(ptr, layout, usable).unwrap().as_ptr();
        fill(ptr, 0, usable);
        // Bytes beyond what was asked for first are moved along.
        let grown = allocator.realloc(ptr, Layout::array::<u8>(usable).unwrap(), 1 << 20);
        check(grown, 0, usable);
        let layout = Layout::array::<u8>(1 << 20).unwrap();
        assert_eq!(allocator.reallocate_inplace(grown, layout, 100), None, "it never shrinks");
        allocator.dealloc(grown, layout);
    }
}

/// The compiler knows how large a block was when it was allocated. Optimised, it once read back
/// what had been there before a write through the pointer after the resize.
#[test]
fn what_is_written_beyond_the_first_size_is_read_back() {
    fn grown<A: InPlaceAlloc>(allocator: &A) {
        let layout = Layout::array::<u8>(25).unwrap();
        // SAFETY: the layout has a size, and after a resize only the pointer that it returned is
        // used.
        unsafe {
            let ptr = allocator.alloc(layout);
            let usable = allocator.usable_size(ptr, layout);
            if let Some(resized) = allocator.reallocate_inplace(ptr, layout, usable) {
                let (first, second) = (resized.as_ptr(), resized.as_ptr().add(usable / 2));
                first.write_bytes(1, usable);
                second.write_bytes(2, usable - usable / 2);
                for i in 0..usable {
                    assert_eq!(first.add(i).read(), if i < usable / 2 { 1 } else { 2 });
                }
                allocator.dealloc(first, Layout::array::<u8>(usable).unwrap());
            } else {
                allocator.dealloc(ptr, layout);
            }
        }
    }
    grown(&OnSystem::new());
    grown(&ALLOCATOR);
    grown(&System);
}

#[test]
#[cfg(alloc_switch_jemalloc)]
fn jemalloc_keeps_the_contract() {
    let allocator = <alloc_switch::switch!(jemalloc)>::new();
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
fn a_large_block_of_jemalloc_shrinks_and_grows() {
    let allocator = <alloc_switch::switch!(jemalloc)>::new();
    let large = Layout::array::<u8>(256 * page()).unwrap();
    let small = Layout::array::<u8>(16 * page()).unwrap();
    // SAFETY: the layouts have a size, and the block is used with one that it fits.
    unsafe {
        let ptr = allocator.alloc(large);
        fill(ptr, 0, large.size());
        let ptr = allocator.reallocate_inplace(ptr, large, small.size()).unwrap().as_ptr();
        assert_eq!(allocator.usable_size(ptr, small), small.size());
        // The pages behind it are now another's: the next large block may take them, and then there
        // is no way back.
        let ptr = allocator.reallocate_inplace(ptr, small, large.size()).unwrap().as_ptr();
        check(ptr, 0, small.size());
        fill(ptr, 0, large.size());
        allocator.dealloc(ptr, large);

        // Small blocks have their size class, and every size within it.
        let layout = Layout::array::<u8>(65).unwrap();
        let ptr = allocator.alloc(layout);
        assert_eq!(allocator.usable_size(ptr, layout), 80);
        assert_eq!(allocator.reallocate_inplace(ptr, layout, 81), None);
        assert_eq!(allocator.reallocate_inplace(ptr, layout, 64), None);
        let ptr = allocator.reallocate_inplace(ptr, layout, 80).unwrap().as_ptr();
        let layout = Layout::array::<u8>(80).unwrap();
        let ptr = allocator.reallocate_inplace(ptr, layout, 66).unwrap().as_ptr();
        allocator.dealloc(ptr, Layout::array::<u8>(66).unwrap());
    }
}

#[test]
fn default_methods_leave_a_block_as_it_is() {
    let layout = Layout::array::<u8>(25).unwrap();
    // SAFETY: the layout has a size.
    unsafe {
        let ptr = Plain.alloc(layout);
        assert_eq!(Plain.usable_size(ptr, layout), 25);
        assert_eq!(Plain.reallocate_inplace(ptr, layout, 26), None);
        assert_eq!(Plain.reallocate_inplace(ptr, layout, 24), None);
        Plain.dealloc(ptr, layout);
    }
    assert_eq!(every_resize(&Plain, |_, _, _| {}), 0);
}
