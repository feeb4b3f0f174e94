//! Hard use, the same on both allocators, for a program that names its own `ALLOCATOR`.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::hint::black_box;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;

#[cfg(feature = "handle")]
use alloc_switch::Handle;
#[cfg(feature = "in-place")]
use alloc_switch::InPlaceAlloc;

use crate::process::{in_bare_thread, in_fork, rounds, MIB};
use crate::ALLOCATOR;

/// xorshift64*: the same numbers in every run.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// From one byte to 256 MiB, each power of two as likely as another, the largest ones less so.
    fn size(&mut self) -> usize {
        let bits = if self.below(40) == 0 { 1 + self.below(28) } else { 1 + self.below(20) };
        1 + self.below(1 << bits)
    }

    /// From 1 to 2 MiB, mostly small.
    fn align(&mut self) -> usize {
        1 << if self.below(4) == 0 { self.below(22) } else { self.below(5) }
    }
}

/// The places of a block that are written and read back: all of a small one, of a large one both
/// ends and some between.
fn places(size: usize) -> impl Iterator<Item = usize> {
    let dense = size.min(4096);
    let step = if size <= 64 << 10 { 61 } else { 65_521 };
    (0..dense).chain((dense..size).step_by(step)).chain((size - (size - dense).min(64))..size)
}

struct Block {
    ptr: *mut u8,
    layout: Layout,
    /// What the allocator says of its size.
    usable: usize,
    tag: u8,
}

impl Block {
    fn byte(&self, place: usize) -> u8 {
        (place as u8).wrapping_mul(31) ^ (place >> 8) as u8 ^ self.tag
    }

    fn fill(&self) {
        for place in places(self.layout.size()) {
            // SAFETY: within the block.
            unsafe { self.ptr.add(place).write(self.byte(place)) };
        }
    }

    /// Whether the first `size` bytes are as `fill` left them, when the block had `filled` bytes.
    fn check(&self, size: usize, filled: usize) {
        for place in places(filled).filter(|&place| place < size) {
            // SAFETY: within the block.
            let byte = unsafe { self.ptr.add(place).read() };
            assert_eq!(byte, self.byte(place), "byte {place} of {:?}", self.layout);
        }
    }
}

/// What is live, by address, so that an overlap is seen.
#[derive(Default)]
struct Model {
    blocks: BTreeMap<usize, Block>,
    bytes: usize,
}

impl Model {
    const MOST: usize = 600 * MIB;

    fn insert(&mut self, block: Block) {
        let start = block.ptr as usize;
        assert_eq!(start % block.layout.align(), 0, "{:?}", block.layout);
        assert!(block.usable >= block.layout.size());
        if let Some((&before, other)) = self.blocks.range(..=start).next_back() {
            assert!(before + other.usable <= start, "two blocks overlap");
        }
        if let Some((&after, _)) = self.blocks.range(start..).next() {
            assert!(start + block.usable <= after, "two blocks overlap");
        }
        self.bytes += block.layout.size();
        self.blocks.insert(start, block);
    }

    fn take(&mut self, random: &mut Random) -> Option<Block> {
        if self.blocks.is_empty() {
            return None;
        }
        let (&first, &last) = (self.blocks.keys().next()?, self.blocks.keys().next_back()?);
        let address = first + random.below(last - first + 1);
        let address = *self.blocks.range(..=address).next_back()?.0;
        let block = self.blocks.remove(&address)?;
        self.bytes -= block.layout.size();
        Some(block)
    }
}

/// What the allocator says of a block's size, as far as the feature `in-place` asks it.
///
/// # Safety
///
/// The block has this layout.
unsafe fn usable_size(_block: *mut u8, layout: Layout) -> usize {
    #[cfg(feature = "in-place")]
    // SAFETY: the block has this layout, as the caller promises.
    return unsafe { ALLOCATOR.usable_size(_block, layout) };
    #[cfg(not(feature = "in-place"))]
    layout.size()
}

/// # Safety
///
/// The block has this layout, and the size is one that a layout can have.
unsafe fn reallocate_inplace(
    _block: *mut u8,
    _layout: Layout,
    _size: usize,
) -> Option<NonNull<u8>> {
    #[cfg(feature = "in-place")]
    // SAFETY: as the caller promises.
    return unsafe { ALLOCATOR.reallocate_inplace(_block, _layout, _size) };
    #[cfg(not(feature = "in-place"))]
    None
}

fn allocate(random: &mut Random, model: &Model) -> Option<Block> {
    let layout = Layout::from_size_align(random.size(), random.align()).unwrap();
    if model.bytes + layout.size() > Model::MOST {
        return None;
    }
    let zeroed = random.below(3) == 0;
    // SAFETY: the layout has a size, and a zeroed block may be read.
    let (ptr, usable) = unsafe {
        let ptr = if zeroed { ALLOCATOR.alloc_zeroed(layout) } else { ALLOCATOR.alloc(layout) };
        assert!(!ptr.is_null(), "{layout:?}");
        if zeroed {
            assert!(
                places(layout.size()).all(|place| ptr.add(place).read() == 0),
                "{layout:?} is not zeroed"
            );
        }
        (ptr, usable_size(ptr, layout))
    };
    let block = Block { ptr, layout, usable, tag: random.next() as u8 };
    block.fill();
    Some(block)
}

/// As it stands, or first resized to a size within its usable one.
fn free(mut block: Block, random: &mut Random) {
    block.check(block.layout.size(), block.layout.size());
    let slack = block.usable - block.layout.size();
    let more = [0, slack, random.below(slack + 1)][random.below(3)];
    if more > 0 {
        let size = block.layout.size() + more;
        block = resize(block, size);
        assert_eq!(block.layout.size(), size, "it fits where it stands");
    }
    // SAFETY: the block has its layout.
    unsafe { ALLOCATOR.dealloc(block.ptr, block.layout) };
}

/// To another size, moved or not.
fn reallocate(mut block: Block, size: usize) -> Block {
    let old = block.layout.size();
    // SAFETY: the block has its layout, and the new size is one that a layout can have.
    unsafe {
        let ptr = ALLOCATOR.realloc(block.ptr, block.layout, size);
        assert!(!ptr.is_null(), "{:?} to {size}", block.layout);
        block.ptr = ptr;
        block.layout = Layout::from_size_align(size, block.layout.align()).unwrap();
        block.usable = usable_size(ptr, block.layout);
    }
    block.check(size.min(old), old);
    block.fill();
    block
}

/// To another size without moving, as far as the allocator can.
fn resize(mut block: Block, size: usize) -> Block {
    let old = block.layout.size();
    // SAFETY: the block has its layout, and the new pointer takes the old one's place.
    unsafe {
        match reallocate_inplace(block.ptr, block.layout, size) {
            Some(ptr) => {
                assert_eq!(ptr.as_ptr(), block.ptr, "it never moves");
                block.ptr = ptr.as_ptr();
                block.check(size.min(old), old);
                block.layout = Layout::from_size_align(size, block.layout.align()).unwrap();
                block.usable = usable_size(block.ptr, block.layout);
                block.fill();
            }
            None => block.check(old, old),
        }
    }
    block
}

/// More than there is: null, and the block is as it was.
fn ask_too_much(block: &Block) {
    let align = block.layout.align();
    let most = (isize::MAX as usize + 1) - align;
    for size in [most, most / 2] {
        // SAFETY: the block has its layout, and the sizes are ones that a layout can have.
        unsafe {
            // The compiler removes an allocation that is only compared with null.
            let layout = Layout::from_size_align(size, align).unwrap();
            assert!(black_box(ALLOCATOR.alloc(layout)).is_null());
            assert!(black_box(ALLOCATOR.alloc_zeroed(layout)).is_null());
            assert!(black_box(ALLOCATOR.realloc(block.ptr, block.layout, size)).is_null());
            assert_eq!(reallocate_inplace(block.ptr, block.layout, size), None);
        }
    }
    block.check(block.layout.size(), block.layout.size());
}

#[test]
fn random_sequences_against_a_model() {
    for seed in 1..=rounds(4) as u64 {
        println!("seed {seed}"); // shown when it fails
        let (mut random, mut model) = (Random::new(seed), Model::default());
        for _ in 0..3000 {
            let kind = random.below(20);
            if kind < 8 {
                if let Some(block) = allocate(&mut random, &model) {
                    model.insert(block);
                }
                continue;
            }
            let Some(block) = model.take(&mut random) else { continue };
            let old = block.layout.size();
            let room = Model::MOST - model.bytes;
            let near = (old / 2 + random.below(old + 16)).max(1);
            let size = if random.below(2) == 0 { near } else { random.size() }.min(room);
            match kind {
                8..=10 => model.insert(reallocate(block, size)),
                11..=13 => model.insert(resize(block, size)),
                14 => {
                    ask_too_much(&block);
                    model.insert(block);
                }
                _ => free(block, &mut random),
            }
        }
        while let Some(block) = model.take(&mut random) {
            free(block, &mut random);
        }
        assert_eq!(model.bytes, 0);
    }
}

#[test]
fn threads_end_while_others_free_their_memory() {
    struct Sent(Vec<Block>);
    // SAFETY: a block belongs to whoever has it.
    unsafe impl Send for Sent {}

    let (sender, receiver) = mpsc::sync_channel::<Sent>(4);
    let freed = thread::spawn(move || {
        let mut random = Random::new(7);
        receiver.iter().flat_map(|sent| sent.0).map(|block| free(block, &mut random)).count()
    });
    let producers = (0..rounds(200) as u64).map(|n| {
        let sender = sender.clone();
        move || {
            let (mut random, model) = (Random::new(1000 + n), Model::default());
            let mut blocks = Vec::new();
            for _ in 0..200 {
                match allocate(&mut random, &model).unwrap() {
                    small if small.layout.size() < 64 << 10 => blocks.push(small),
                    large => free(large, &mut random),
                }
            }
            let count = blocks.len();
            sender.send(Sent(blocks)).unwrap();
            count
        }
    });
    let mut allocated = 0;
    for wave in producers.collect::<Vec<_>>().chunks(4) {
        allocated += thread::scope(|scope| {
            let threads: Vec<_> = wave.iter().map(|producer| scope.spawn(producer)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
        });
    }
    drop(sender);
    assert_eq!(freed.join().unwrap(), allocated);
    assert!(allocated > rounds(200) * 100);
}

/// Small, large and over-aligned memory, in the ordinary way.
fn some_work() -> usize {
    #[repr(align(4096))]
    struct Page([u8; 4096]);
    let words: Vec<String> = (0..500).map(|n| n.to_string()).collect();
    let page = black_box(Box::new(Page([1; 4096])));
    let block = black_box(vec![1_u8; MIB / 4]);
    assert_eq!(&raw const *page as usize % 4096, 0);
    let ones = page.0.iter().chain(&block).map(|&byte| usize::from(byte)).sum::<usize>();
    words.iter().map(String::len).sum::<usize>() + ones
}

/// Digits of the numbers below 500, a page and a quarter of a MiB of ones.
const WORK: usize = 10 + 180 + 1200 + 4096 + MIB / 4;

static DESTRUCTORS: AtomicUsize = AtomicUsize::new(0);

#[test]
fn destructors_of_a_thread_allocate() {
    struct Last(RefCell<Vec<String>>);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.borrow_mut().push("one more".repeat(1000));
            assert_eq!(some_work(), WORK);
            DESTRUCTORS.fetch_add(1, Relaxed);
        }
    }
    thread_local! {
        static FIRST: Last = const { Last(RefCell::new(Vec::new())) };
        static SECOND: Last = Last(RefCell::new(vec!["lazily".into()]));
    }

    // C's own come after Rust's and after the allocator's, which was there first. One that sets its
    // key is called again.
    static KEY: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static CALLS: Cell<usize> = const { Cell::new(0) };
    }
    extern "C" fn destructor(boxed: *mut c_void) {
        // SAFETY: the value is such a box, set below or by the last call.
        let boxed = unsafe { Box::from_raw(boxed.cast::<[usize; 100]>()) };
        assert_eq!(some_work(), WORK);
        DESTRUCTORS.fetch_add(1, Relaxed);
        CALLS.set(CALLS.get() + 1);
        if CALLS.get() < 3 {
            let again = Box::into_raw(Box::new(boxed.map(|n| n + 1)));
            // SAFETY: the key exists.
            unsafe { libc::pthread_setspecific(KEY.load(Relaxed) as u32, again.cast()) };
        } else {
            assert_eq!(*boxed, [3; 100]);
        }
    }

    let mut key = 0;
    // SAFETY: the function fills `key`.
    assert_eq!(unsafe { libc::pthread_key_create(&mut key, Some(destructor)) }, 0);
    KEY.store(key as usize, Relaxed);
    for _ in 0..50 {
        thread::spawn(move || {
            FIRST.with(|first| first.0.borrow_mut().push("x".repeat(100)));
            SECOND.with(|second| second.0.borrow_mut().push("y".repeat(100)));
            let boxed = Box::into_raw(Box::new([1_usize; 100]));
            // SAFETY: the key exists.
            assert_eq!(unsafe { libc::pthread_setspecific(key, boxed.cast()) }, 0);
        })
        .join()
        .unwrap();
    }
    assert_eq!(DESTRUCTORS.load(Relaxed), 50 * (2 + 3));
}

#[test]
fn a_handler_at_exit_allocates() {
    extern "C" fn first_registered() {
        let status = if some_work() == WORK { 42 } else { 1 };
        // SAFETY: the process ends.
        unsafe { libc::_exit(status) }
    }
    extern "C" fn last_registered() {
        std::mem::forget(vec![1_u8; 1000]);
        assert_eq!(some_work(), WORK);
    }
    let status = in_fork(|| {
        // SAFETY: the handlers do not unwind unless the test fails, and `exit` calls them.
        unsafe {
            assert_eq!(libc::atexit(first_registered), 0);
            assert_eq!(libc::atexit(last_registered), 0);
            libc::exit(1)
        }
    });
    assert_eq!(status, 42, "both handlers ran to their end");
}

#[test]
fn fork_under_load() {
    let stop = AtomicBool::new(false);
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    assert_eq!(some_work(), WORK);
                    done.fetch_add(1, Relaxed);
                }
            });
        }
        let forked = thread::Builder::new().spawn_scoped(scope, || {
            for _ in 0..rounds(50) {
                let before = done.load(Relaxed);
                while done.load(Relaxed) == before {
                    thread::yield_now(); // under load
                }
                let held = vec![7_u8; 1000];
                let status = in_fork(|| {
                    let good =
                        (0..3).all(|_| some_work() == WORK) && held.iter().all(|&byte| byte == 7);
                    drop(held);
                    #[cfg(feature = "handle")]
                    let _ = ALLOCATOR.purge();
                    let mut work = 0;
                    in_bare_thread(|| work = some_work());
                    u8::from(good && work == WORK)
                });
                assert_eq!(status, 1);
            }
        });
        let result = forked.unwrap().join();
        stop.store(true, Relaxed);
        result.unwrap();
    });
}
