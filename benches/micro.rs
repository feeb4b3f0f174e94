//! Single operations on the allocator that the policy gives this program, beside the system
//! allocator in the same process: `cargo bench --bench micro`. Whole programs are in `real`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;

use divan::counter::BytesCount;
use divan::Bencher;

type Chosen = alloc_switch::switch!();

alloc_switch::global_allocator!(static ALLOCATOR);

fn main() {
    println!("the program's allocator: {ALLOCATOR}");
    divan::main();
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).unwrap()
}

/// Writes one byte to every page, as a program would that wanted the memory.
fn touch(block: *mut u8, size: usize) {
    for offset in (0..size).step_by(4096) {
        // SAFETY: the offset is inside the block.
        unsafe { block.add(offset).write_volatile(1) };
    }
}

/// Allocates, touches and frees.
#[divan::bench(
    types = [System, Chosen],
    args = [16, 128, KIB, 16 * KIB, 256 * KIB, 4 * MIB, 64 * MIB],
)]
fn round_trip<A: GlobalAlloc + Default>(bencher: Bencher, size: usize) {
    let (allocator, layout) = (A::default(), layout(black_box(size)));
    bencher.bench_local(|| {
        // SAFETY: the size is not zero; the block is freed with its layout.
        unsafe {
            let block = allocator.alloc(layout);
            touch(block, layout.size());
            allocator.dealloc(black_box(block), layout);
        }
    });
}

/// 100 bytes at an alignment that `malloc` does not promise.
#[divan::bench(types = [System, Chosen], args = [32, 64, 4 * KIB, 2 * MIB])]
fn over_aligned<A: GlobalAlloc + Default>(bencher: Bencher, align: usize) {
    let (allocator, layout) =
        (A::default(), Layout::from_size_align(100, black_box(align)).unwrap());
    bencher.bench_local(|| {
        // SAFETY: the size is not zero; the block is freed with its layout.
        unsafe {
            let block = allocator.alloc(layout);
            allocator.dealloc(black_box(block), layout);
        }
    });
}

#[divan::bench(types = [System, Chosen], args = [128, 16 * KIB, 256 * KIB, 4 * MIB])]
fn zeroed<A: GlobalAlloc + Default>(bencher: Bencher, size: usize) {
    let (allocator, layout) = (A::default(), layout(black_box(size)));
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        // SAFETY: the size is not zero; the block is freed with its layout.
        unsafe {
            let block = allocator.alloc_zeroed(layout);
            touch(block, layout.size());
            allocator.dealloc(black_box(block), layout);
        }
    });
}

/// Doubles a block from 4 KiB on, and writes to what is new: a vector that nobody gave a capacity.
#[divan::bench(types = [System, Chosen], args = [64 * KIB, MIB, 32 * MIB])]
fn doubling<A: GlobalAlloc + Default>(bencher: Bencher, size: usize) {
    let allocator = A::default();
    bencher.counter(BytesCount::new(size)).bench_local(|| grow(&allocator, size, |old| old * 2));
}

/// Grows a block by 4 KiB at a time.
#[divan::bench(types = [System, Chosen], args = [64 * KIB, MIB])]
fn growth_by_pages<A: GlobalAlloc + Default>(bencher: Bencher, size: usize) {
    let allocator = A::default();
    bencher.counter(BytesCount::new(size)).bench_local(|| grow(&allocator, size, |old| old + 4096));
}

fn grow(allocator: &impl GlobalAlloc, end: usize, next: impl Fn(usize) -> usize) {
    let mut size = 4096;
    // SAFETY: each call has the size of the last one, which is not zero.
    unsafe {
        let mut block = allocator.alloc(layout(size));
        while size < end {
            let larger = next(size);
            block = allocator.realloc(block, layout(size), larger);
            touch(block.add(size), larger - size);
            size = larger;
        }
        allocator.dealloc(black_box(block), layout(size));
    }
}
