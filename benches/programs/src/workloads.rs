//! The workloads. Each is deterministic, and its work is proportional to `scale`; 1 takes a few hundred milliseconds.

use std::alloc::{alloc, alloc_zeroed, dealloc, realloc, Layout};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::sync::mpsc;
use std::thread;

use crate::meter::Meter;

pub type Workload = fn(usize, &mut Meter) -> u64;

pub const ALL: &[(&str, Workload)] = &[
    ("small", |scale, _| round_trips(scale * 10_000_000, 512, 16, 256)),
    ("medium", |scale, _| round_trips(scale * 2_000_000, 64, 1 << 10, 32 << 10)),
    ("large", |scale, _| round_trips(scale * 20_000, 8, 64 << 10, 4 << 20)),
    ("aligned", aligned),
    ("zeroed", zeroed),
    ("doubling", doubling),
    ("in-place", in_place),
    ("json", json),
    ("hash-map", hash_map),
    ("btree-map", btree_map),
    ("syn", syn_parse),
    ("log", log),
    ("larson-1", |scale, _| larson(scale, 1)),
    ("larson-2", |scale, _| larson(scale, 2)),
    ("larson-4", |scale, _| larson(scale, 4)),
    ("larson-8", |scale, _| larson(scale, 8)),
    ("channel", channel),
    ("spawn", spawn),
    ("mixed", mixed),
    // one workload on growing heaps
    ("heap-1", |scale, meter| heap(scale, 1, meter)),
    ("heap-8", |scale, meter| heap(scale, 8, meter)),
    ("heap-64", |scale, meter| heap(scale, 64, meter)),
    ("heap-512", |scale, meter| heap(scale, 512, meter)),
];

/// xorshift64*
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        ((self.next() >> 32) * end as u64 >> 32) as usize
    }

    /// As many small ones as large ones on a logarithmic scale.
    fn size(&mut self, least: usize, most: usize) -> usize {
        let octaves = (most / least).ilog2() as usize;
        let low = least << self.below(octaves);
        low + self.below(low)
    }
}

/// Writes one byte to every page, as a program would that wanted the memory.
fn touch(block: *mut u8, size: usize) {
    for offset in (0..size).step_by(4096) {
        // SAFETY: the offset is inside the block.
        unsafe { block.add(offset).write_volatile(offset as u8) };
    }
}

/// Replaces one of `live` blocks, time and again.
fn round_trips(rounds: usize, live: usize, least: usize, most: usize) -> u64 {
    let mut random = Random(1);
    let sizes: Vec<_> = (0..4096).map(|_| random.size(least, most)).collect();
    let mut blocks = Vec::with_capacity(live);
    let mut sum = 0;
    for round in 0..rounds {
        let layout = Layout::from_size_align(sizes[round % sizes.len()], 8).unwrap();
        // SAFETY: the size is not zero.
        let block = unsafe { alloc(layout) };
        touch(block, layout.size());
        blocks.push((black_box(block), layout));
        if blocks.len() == live {
            let (block, layout) = blocks.swap_remove(random.below(live));
            sum += layout.size() as u64;
            // SAFETY: allocated above with this layout.
            unsafe { dealloc(block, layout) };
        }
    }
    for (block, layout) in blocks {
        // SAFETY: allocated above with this layout.
        unsafe { dealloc(block, layout) };
    }
    sum
}

fn aligned(scale: usize, _: &mut Meter) -> u64 {
    let mut random = Random(2);
    let mut blocks = Vec::new();
    let mut sum = 0;
    for _ in 0..scale * 15_000 {
        for _ in 0..64 {
            let align = 32 << random.below(8); // up to 4 KiB
            let layout = Layout::from_size_align(random.size(16, 8192), align).unwrap();
            // SAFETY: the size is not zero.
            let block = unsafe { alloc(layout) };
            sum += (block as usize % align) as u64;
            blocks.push((black_box(block), layout));
        }
        for (block, layout) in blocks.drain(..) {
            // SAFETY: allocated above with this layout.
            unsafe { dealloc(block, layout) };
        }
    }
    sum
}

fn zeroed(scale: usize, _: &mut Meter) -> u64 {
    let mut random = Random(3);
    let mut sum = 0;
    for _ in 0..scale * 40_000 {
        let layout = Layout::from_size_align(random.size(64, 1 << 20), 8).unwrap();
        // SAFETY: the size is not zero; the block is used inside its bounds and freed with its layout.
        unsafe {
            let block = alloc_zeroed(layout);
            sum += u64::from(*block.add(layout.size() / 2));
            touch(block, layout.size());
            dealloc(black_box(block), layout);
        }
    }
    sum
}

/// Vectors that nobody gave a capacity: four small ones for each that grows to 64 MiB.
fn doubling(scale: usize, _: &mut Meter) -> u64 {
    let mut sum = 0;
    for _ in 0..scale * 5 {
        for len in [1 << 8, 1 << 12, 1 << 16, 1 << 20, 8 << 20] {
            let mut vec = Vec::new();
            for i in 0..len as u64 {
                vec.push(i);
            }
            sum += black_box(&vec)[len / 2];
        }
    }
    sum
}

/// Eight buffers that grow by a little in turn, as when reading from sockets: where there is room behind them, without a
/// copy.
fn in_place(scale: usize, _: &mut Meter) -> u64 {
    const LEAST: usize = 4096;
    let layout = |size| Layout::from_size_align(size, 8).unwrap();
    let mut sum = 0;
    for _ in 0..scale * 8 {
        // SAFETY: each call has the size of the last one, which is not zero.
        unsafe {
            let mut buffers = [(); 8].map(|()| (alloc(layout(LEAST)), LEAST));
            while buffers[0].1 < 4 << 20 {
                for (block, size) in &mut buffers {
                    let larger = *size + *size / 16 + 4096;
                    *block = realloc(*block, layout(*size), larger);
                    touch(block.add(*size), larger - *size);
                    *size = larger;
                }
            }
            for (block, size) in buffers {
                sum += size as u64;
                dealloc(black_box(block), layout(size));
            }
        }
    }
    sum
}

fn json(scale: usize, meter: &mut Meter) -> u64 {
    let mut random = Random(4);
    let documents: Vec<String> = (0..8)
        .map(|document| {
            let people: Vec<String> = (0..500)
                .map(|i| {
                    let (age, score) = (random.below(90), random.below(100_000));
                    format!(
                        r#"{{"id":{i},"name":"person {age} of {document}","tags":["a{score}","b","long tag {i}"],"score":{score}.5,"address":{{"street":"street {score}","city":"city {age}","lines":[[1,2],[3,4,{i}]]}},"active":true,"note":null}}"#
                    )
                })
                .collect();
            format!("[{}]", people.join(","))
        })
        .collect();
    *meter = Meter::start();
    let mut kept = Vec::new();
    let mut sum = 0;
    for round in 0..scale * 120 {
        let tree: serde_json::Value = serde_json::from_str(&documents[round % documents.len()]).unwrap();
        sum += tree[round % 500]["score"].as_f64().unwrap() as u64;
        kept.push(tree);
        if kept.len() > 16 {
            kept.swap_remove(round % 16);
        }
    }
    sum
}

/// The standard hasher without its random keys, so that every run does the same.
type Map = HashMap<String, String, BuildHasherDefault<DefaultHasher>>;

fn hash_map(scale: usize, _: &mut Meter) -> u64 {
    let mut random = Random(5);
    let mut map = Map::default();
    let mut sum = 0;
    for i in 0..scale * 700_000 {
        let key = format!("key {}", random.below(200_000));
        if i % 3 == 2 {
            sum += map.remove(&key).map_or(0, |value| value.len() as u64);
        } else {
            map.insert(key, "v".repeat(random.size(8, 128)));
        }
    }
    sum + map.len() as u64
}

fn btree_map(scale: usize, _: &mut Meter) -> u64 {
    let mut random = Random(6);
    let mut map = BTreeMap::new();
    let mut sum = 0;
    for i in 0..scale * 400_000 {
        let key = format!("key {}", random.below(150_000));
        if i % 3 == 2 {
            sum += map.remove(&key).map_or(0, |value: String| value.len() as u64);
        } else {
            map.insert(key, "v".repeat(random.size(8, 128)));
        }
    }
    sum + map.len() as u64
}

/// This file, parsed into a syntax tree.
fn syn_parse(scale: usize, _: &mut Meter) -> u64 {
    let mut sum = 0;
    for _ in 0..scale * 80 {
        sum += syn::parse_file(black_box(include_str!("workloads.rs"))).unwrap().items.len() as u64;
    }
    sum
}

/// A compressed log, split into lines and counted by its fields.
fn log(scale: usize, meter: &mut Meter) -> u64 {
    let mut random = Random(7);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for i in 0..60_000 {
        let (path, agent) = (random.below(3000), random.below(200));
        writeln!(encoder, "10.0.{}.{} - - [{i}] GET /page/{path}/index.html 200 {agent}", i % 256, path % 256).unwrap();
    }
    let compressed = encoder.finish().unwrap();
    *meter = Meter::start();
    let mut sum = 0;
    for _ in 0..scale * 3 {
        let mut counts: HashMap<Vec<String>, u64, BuildHasherDefault<DefaultHasher>> = HashMap::default();
        for line in BufReader::new(flate2::read::GzDecoder::new(&*compressed)).lines() {
            let line = line.unwrap();
            let fields: Vec<String> = line.split(' ').map(str::to_owned).collect();
            *counts.entry(vec![fields[0].clone(), fields[5].clone()]).or_default() += 1;
        }
        sum += counts.values().max().unwrap() + counts.len() as u64;
    }
    sum
}

/// Each thread replaces blocks of its array at random, then hands the array to a thread that was born after it and goes:
/// most blocks are freed by another thread than allocated them (P. Larson and M. Krishnan, 1998).
fn larson(scale: usize, threads: usize) -> u64 {
    const GENERATIONS: usize = 10;
    let replacements = scale * 6_000_000 / threads / GENERATIONS;
    let mut arrays: Vec<Vec<Vec<u8>>> = (0..threads).map(|_| vec![Vec::new(); 1000]).collect();
    for generation in 0..GENERATIONS {
        let running: Vec<_> = arrays
            .into_iter()
            .enumerate()
            .map(|(i, mut array)| {
                thread::spawn(move || {
                    let mut random = Random((1 + i + generation * 100) as u64);
                    for _ in 0..replacements {
                        let mut block = Vec::with_capacity(random.size(8, 1024));
                        block.push(1);
                        let slot = random.below(array.len());
                        array[slot] = block;
                    }
                    array
                })
            })
            .collect();
        arrays = running.into_iter().map(|thread| thread.join().unwrap()).collect();
    }
    arrays.iter().flatten().map(|block| block.len() as u64).sum()
}

/// One thread allocates, another frees.
fn channel(scale: usize, _: &mut Meter) -> u64 {
    let (sender, receiver) = mpsc::sync_channel::<Vec<Box<[u8]>>>(64);
    let messages = scale * 25_000;
    let producer = thread::spawn(move || {
        let mut random = Random(8);
        for _ in 0..messages {
            let message = (0..64).map(|_| Vec::with_capacity(random.size(16, 1024))).map(|mut block: Vec<u8>| {
                block.resize(block.capacity().min(16), 1);
                block.into_boxed_slice()
            });
            sender.send(message.collect()).unwrap();
        }
    });
    let sum = receiver.iter().flatten().map(|block| block[0] as u64).sum();
    producer.join().unwrap();
    sum
}

/// Threads that live for a moment, and leave half of what they allocated to others.
fn spawn(scale: usize, _: &mut Meter) -> u64 {
    let mut sum = 0;
    let mut left = Vec::new();
    for round in 0..scale * 2500 {
        let pair: Vec<_> = (0..2)
            .map(|i| {
                thread::spawn(move || {
                    let mut random = Random((1 + round * 2 + i) as u64);
                    let mut blocks: Vec<Vec<u8>> = (0..200).map(|_| vec![1; random.size(16, 4096)]).collect();
                    blocks.truncate(100);
                    blocks
                })
            })
            .collect();
        for thread in pair {
            left.push(thread.join().unwrap());
        }
        if left.len() > 20 {
            sum += left.drain(..10).flatten().map(|block| block.len() as u64).sum::<u64>();
        }
    }
    sum
}

/// Fragmentation: a live set that grows and shrinks by turns, each time with other sizes, on four threads that free each
/// other's blocks. Resident memory is sampled all along.
fn mixed(scale: usize, meter: &mut Meter) -> u64 {
    const PHASES: [(usize, usize, usize); 8] = [
        // MiB alive at its end, sizes
        (96, 16, 512),
        (24, 16, 512),
        (128, 256, 16 << 10),
        (16, 256, 16 << 10),
        (96, 32, 128 << 10),
        (12, 16, 1024),
        (64, 4096, 512 << 10),
        (8, 16, 256),
    ];
    const THREADS: usize = 4;
    let mut live: Vec<Vec<Vec<u8>>> = (0..THREADS).map(|_| Vec::new()).collect();
    let mut sum = 0;
    for (phase, (target, least, most)) in PHASES.into_iter().enumerate() {
        for step in 0..8 {
            live.rotate_left(1);
            let running: Vec<_> = live
                .into_iter()
                .enumerate()
                .map(|(i, mut live)| {
                    thread::spawn(move || {
                        let mut random = Random((1 + i + 10 * step + 1000 * phase) as u64);
                        let mut bytes: usize = live.iter().map(|block: &Vec<u8>| block.capacity()).sum();
                        let target = (target << 20) / THREADS;
                        // towards the target by eighths, and as much again replaced
                        let goal = bytes as i64 + (target as i64 - bytes as i64) / (8 - step as i64);
                        let mut budget = scale * 3 << 20;
                        while budget > 0 || bytes as i64 > goal {
                            if bytes as i64 > goal && !live.is_empty() {
                                let at = random.below(live.len());
                                bytes -= live.swap_remove(at).capacity();
                            } else {
                                let size = random.size(least, most);
                                let mut block = Vec::with_capacity(size);
                                block.resize(size, 1);
                                live.push(block);
                                bytes += size;
                                budget = budget.saturating_sub(size);
                            }
                        }
                        live
                    })
                })
                .collect();
            live = running.into_iter().map(|thread| thread.join().unwrap()).collect();
            meter.sample();
        }
        sum += live.iter().flatten().map(|block| block.len() as u64).sum::<u64>();
    }
    sum
}

/// As many operations whatever the size, on a map of strings that holds 1000 times `size` of them.
fn heap(scale: usize, size: usize, meter: &mut Meter) -> u64 {
    let mut random = Random(9);
    let mut map = Map::default();
    let keys = size * 2000;
    for _ in 0..keys {
        map.insert(format!("key {}", random.below(keys)), "v".repeat(random.size(8, 256)));
    }
    *meter = Meter::start();
    let mut sum = 0;
    for i in 0..scale * 500_000 {
        let key = format!("key {}", random.below(keys));
        if i % 2 == 0 {
            sum += map.remove(&key).map_or(0, |value| value.len() as u64);
        } else {
            map.insert(key, "v".repeat(random.size(8, 256)));
        }
    }
    sum
}
