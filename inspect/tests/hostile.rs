//! Every seed of the fuzzer, cut short and damaged in the same way in each run: no panic, a bounded
//! number of steps, and at most 64 MiB of memory beside the file.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use alloc_inspect::{inspect_all, inspect_counted, inspect_path};

/// Counts, for each thread, the bytes that are in use and the most that were.
struct Counting;

thread_local! {
    static NOW: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    // At the end of a thread there is nobody left to count.
    let _ = NOW.try_with(|now| {
        now.set(now.get() + change);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now.get())));
    });
}

// SAFETY: every call goes to the system allocator as it came.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are those that the system allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above; the block came from the system allocator.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The most memory, in bytes, that `work` had at a time.
fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = NOW.get();
    PEAK.set(before);
    let result = work();
    (result, usize::try_from(PEAK.get() - before).unwrap())
}

const ROOM: usize = 64 << 20;

/// Inspects damaged bytes, and returns whether the damage was noticed.
fn survives(what: &str, bytes: &[u8]) -> bool {
    let ((result, steps), memory) = peak(|| inspect_counted(bytes));
    assert!(memory <= ROOM, "{what}: {memory} bytes of memory for {}", bytes.len());
    let bound = 32 * bytes.len() as u64 + (1 << 20);
    assert!(steps <= bound, "{what}: {steps} steps");
    match result {
        Ok(reports) => {
            assert!(!reports.is_empty(), "{what}");
            for report in reports {
                let line = report.to_string();
                assert!(!line.chars().any(char::is_control), "{what}: {line:?}");
            }
            false
        }
        Err(error) => {
            let sentence = error.to_string();
            assert!(!sentence.is_empty(), "{what}");
            assert!(!sentence.chars().any(char::is_control), "{what}: {sentence:?}");
            true
        }
    }
}

fn seeds() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let mut seeds: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())
        })
        .collect();
    seeds.sort();
    assert!(seeds.len() > 20, "{}", seeds.len());
    seeds
}

/// Knuth's MMIX generator: the same damage in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

#[test]
fn the_seeds_themselves() {
    for (name, bytes) in seeds() {
        let fails = survives(&name, &bytes);
        assert_eq!(fails, name == "bitcode.a" || name == "elf-thin.a", "{name}");
        let (_, steps) = inspect_counted(&bytes);
        assert!(steps < 8 * bytes.len() as u64 + 4096, "an honest file is cheap: {name}, {steps}");
    }
}

#[test]
fn cut_short() {
    for (name, bytes) in seeds() {
        let mut noticed = 0;
        for cut in (0..bytes.len().min(512)).chain((512..bytes.len()).step_by(37)) {
            noticed += usize::from(survives(&format!("{name}, {cut} bytes"), &bytes[..cut]));
        }
        assert!(noticed > 16, "{name}: {noticed}");
    }
}

#[test]
fn flipped_bits() {
    let mut random = Random(0x853c_49e6_748f_ea9b);
    for (name, whole) in seeds() {
        let mut noticed = 0;
        for round in 0..400 {
            let mut bytes = whole.clone();
            // mostly in the tables at both ends
            for _ in 0..1 + round % 8 {
                let at = match random.below(3) {
                    0 => random.below(1024.min(bytes.len())),
                    1 => bytes.len() - 1 - random.below(4096.min(bytes.len())),
                    _ => random.below(bytes.len()),
                };
                bytes[at] ^= 1 << random.below(8);
            }
            noticed += usize::from(survives(&format!("{name}, round {round}"), &bytes));
        }
        assert!(noticed > 0, "{name}: damage to the header goes unnoticed");
    }
}

#[test]
fn numbers_that_are_large_or_off_by_one() {
    let mut random = Random(0xda3e_39cb_94b9_5bdb);
    for (name, whole) in seeds() {
        for round in 0..400 {
            let mut bytes = whole.clone();
            for _ in 0..1 + round % 3 {
                let at = random.below(bytes.len().min(2048)) & !3;
                let Some(place) = bytes.get_mut(at..at + 4) else { continue };
                let old = u32::from_le_bytes((&*place).try_into().unwrap());
                let new = match random.below(6) {
                    0 => u32::MAX,
                    1 => 0,
                    2 => i32::MAX as u32,
                    3 => old.wrapping_add(1),
                    4 => old.wrapping_sub(1),
                    _ => whole.len() as u32,
                };
                place.copy_from_slice(&new.to_le_bytes());
            }
            survives(&format!("{name}, round {round}"), &bytes);
        }
    }
}

#[test]
fn pieces_of_one_in_another() {
    let mut random = Random(0x1405_7b7e_f767_814f);
    let seeds = seeds();
    for round in 0..2000 {
        let (name, mut bytes) = seeds[random.below(seeds.len())].clone();
        let (other, from) = &seeds[random.below(seeds.len())];
        let start = random.below(from.len());
        let piece = &from[start..(start + 1 + random.below(2048)).min(from.len())];
        let at = random.below(bytes.len());
        let end = (at + piece.len()).min(bytes.len());
        bytes.splice(at..end, piece.iter().copied());
        survives(&format!("{name} with a piece of {other}, round {round}"), &bytes);
    }
}

/// An ELF header for x86_64 with tables at these places: offset and number of entries. The names of
/// sections are in the second.
fn elf(segments: (u64, u16), sections: (u64, u16)) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    bytes.extend([3_u16, 62].map(u16::to_le_bytes).concat()); // a shared library
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend([0, segments.0, sections.0].map(u64::to_le_bytes).concat());
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend(
        [64, 56, segments.1, 64, sections.1, sections.1.min(1)].map(u16::to_le_bytes).concat(),
    );
    bytes
}

fn section(kind: u32, offset: u64, size: u64, link: u32, entry: u64) -> Vec<u8> {
    let mut bytes = [0, kind].map(u32::to_le_bytes).concat();
    bytes.extend([2, 0, offset, size].map(u64::to_le_bytes).concat());
    bytes.extend([link, 0].map(u32::to_le_bytes).concat());
    bytes.extend([1, entry].map(u64::to_le_bytes).concat());
    bytes
}

/// A file is not allowed to multiply the work by saying everything many times.
#[test]
fn tables_that_overlap() {
    let size = (1 << 20) / 24 * 24; // whole symbols

    // each of very many symbols has the same very long name
    let mut bytes = elf((0, 0), (64, 3));
    let symbols = 64 + 3 * 64;
    bytes.extend(section(0, 0, 0, 0, 0));
    bytes.extend(section(3, symbols + size, size, 0, 0));
    bytes.extend(section(2, symbols, size, 1, 24));
    bytes.resize((symbols + size) as usize, 0);
    bytes.resize((symbols + 2 * size) as usize - 1, b'x');
    bytes.push(0);
    assert!(survives("long names", &bytes));
    let error = inspect_all(&bytes).unwrap_err().to_string();
    assert_eq!(error, "a damaged file: its tables overlap");

    // each of very many segments is the whole file: it is read once
    let count = u16::MAX - 1;
    let mut bytes = elf((64, count), (0, 0));
    for _ in 0..count {
        bytes.extend([1_u32, 5].map(u32::to_le_bytes).concat());
        bytes.extend([0, 0, 0, size, size, 4096].map(u64::to_le_bytes).concat());
    }
    survives("many segments", &bytes);

    // and each of very many notes
    let count = u64::from(u16::MAX) - 1;
    let mut bytes = elf((0, 0), (64, count as u16));
    bytes.extend(section(0, 0, 0, 0, 0));
    let name = b".note.alloc-switch\0";
    bytes.extend(section(3, 64 + 64 * count, name.len() as u64, 0, 0));
    for _ in 2..count {
        bytes.extend(section(7, 0, 64 * count, 0, 0));
    }
    bytes.extend(name);
    assert!(survives("many notes", &bytes));

    // a universal file with the same part again and again
    let part = seeds().into_iter().find(|(name, _)| name == "macho-library.dylib").unwrap().1;
    let count = 39_u32;
    let mut bytes = [0xcafe_babe, count].map(u32::to_be_bytes).concat();
    for _ in 0..count {
        let length = part.len() as u32;
        bytes.extend([0x0100_0007, 3, 4096, length, 12].map(u32::to_be_bytes).concat());
    }
    bytes.resize(4096, 0);
    bytes.extend(&part);
    survives("the same part", &bytes);

    // members whose names are all looked for in a table with one end
    let mut bytes = b"!<arch>\n".to_vec();
    let header = |name: &str, size: usize| {
        format!("{name:16}{:12}{:6}{:6}{:8}{size:<10}`\n", 0, 0, 0, 644).into_bytes()
    };
    bytes.extend(header("//", size as usize));
    bytes.resize(bytes.len() + size as usize - 2, b'x');
    bytes.extend(b"/\n");
    for _ in 0..10_000 {
        bytes.extend(header("/0", 0));
    }
    assert!(survives("names of members", &bytes));
}

#[test]
fn memory_is_the_file_and_a_little_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large");
    let size = 96 << 20;
    let mut file = File::create(&path).unwrap();
    let segment = [1_u32, 5].map(u32::to_le_bytes).concat();
    let numbers = [0, 0, 0, size as u64, size as u64, 4096].map(u64::to_le_bytes).concat();
    file.write_all(&[elf((64, 1), (0, 0)), segment, numbers].concat()).unwrap();
    file.set_len(size as u64).unwrap();
    let (result, memory) = peak(|| inspect_path(&path));
    result.unwrap();
    assert!(memory >= size && memory <= size + ROOM, "{memory}");

    // what is no program is not read, however large it is
    let mut file = File::create(&path).unwrap();
    file.write_all(b"a text").unwrap();
    file.set_len(1 << 40).unwrap();
    let (result, memory) = peak(|| inspect_path(&path));
    assert!(result.unwrap_err().to_string().starts_with("not a program"));
    assert!(memory < 1 << 20, "{memory}");

    // and one that is too large is refused before
    let mut file = File::create(&path).unwrap();
    file.write_all(&elf((0, 0), (0, 0))).unwrap();
    file.set_len(1 << 40).unwrap();
    let (result, memory) = peak(|| inspect_path(&path));
    assert_eq!(result.unwrap_err().to_string(), "larger than the 4 GiB that are read");
    assert!(memory < 1 << 20, "{memory}");
}

/// Pictures, classes of Java and the like begin as programs do.
#[test]
fn what_only_begins_as_a_program() {
    let sentence = "not a program, library, object or archive in ELF, Mach-O, PE or WebAssembly";
    let java = b"\xca\xfe\xba\xbe\0\0\0\x34 a class of Java 8, and more of it";
    let coff = b"L\x01 is how some pictures begin, and objects for 32-bit Windows";
    let dos = b"MZ, but what should be a second header is nowhere in the file; nor is more";
    let core = b"dyld_v1  arm64e, a cache of Apple's, which is not read";
    for bytes in [&java[..], coff, dos, core] {
        assert_eq!(inspect_all(bytes).unwrap_err().to_string(), sentence);
    }
}
