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
    let bound = 16 * bytes.len() as u64 + (1 << 20);
    assert!(steps <= bound, "{what}: {steps} bytes looked at");
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

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn longs(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// An ELF file of these sections (kind, link, size of an entry, content), their names in the first.
fn sections(all: &[(u32, u32, u64, &[u8])]) -> Vec<u8> {
    let count = all.len() as u16 + 1;
    let mut bytes = elf((0, 0), (64, count));
    bytes.extend(section(0, 0, 0, 0, 0));
    let mut offset = 64 + 64 * u64::from(count);
    for (kind, link, entry, content) in all {
        bytes.extend(section(*kind, offset, content.len() as u64, *link, *entry));
        offset += content.len() as u64;
    }
    bytes.extend(all.iter().flat_map(|(.., content)| *content));
    bytes
}

/// A segment that is as long in memory as in the file.
fn segment(kind: u32, flags: u32, offset: u64, address: u64, size: u64) -> Vec<u8> {
    [words(&[kind, flags]), longs(&[offset, address, 0, size, size, 4096])].concat()
}

/// ELF: one segment is the file, the other the dynamic section with these entries before `strings`.
fn dynamic(entries: &[(u64, u64)], strings: &[u8]) -> Vec<u8> {
    let start = 64 + 2 * 56;
    let strings_at = start + 16 * (entries.len() as u64 + 3);
    let size = strings_at + strings.len() as u64;
    let mut bytes = elf((64, 2), (0, 0));
    bytes.extend(segment(1, 4, 0, 0, size));
    bytes.extend(segment(2, 4, start, start, strings_at - start));
    let own = [(5, strings_at), (10, strings.len() as u64)];
    bytes.extend(own.iter().chain(entries).chain(&[(0, 0)]).flat_map(|(a, b)| longs(&[*a, *b])));
    bytes.extend(strings);
    bytes
}

/// A Mach-O program for 64-bit x86 with these load commands.
fn mach_o(commands: &[Vec<u8>], rest: &[u8]) -> Vec<u8> {
    let (count, size) = (commands.len() as u32, commands.concat().len() as u32);
    let header = words(&[0xfeed_facf, 0x0100_0007, 3, 2, count, size, 0, 0]);
    [header, commands.concat(), rest.to_vec()].concat()
}

/// A PE program with so many sections, each the whole rest of the file, that asks for and offers
/// what its directories say.
fn pe(sections: u16, directories: [u32; 2], rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 0x148];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, b"MZ");
    put(0x3c, &0x40_u32.to_le_bytes());
    put(0x40, b"PE\0\0\x64\x86");
    put(0x46, &sections.to_le_bytes());
    put(0x54, &0xf0_u16.to_le_bytes());
    put(0x58, &0x20b_u16.to_le_bytes());
    put(0xc4, &16_u32.to_le_bytes());
    put(0xc8, &directories[1].to_le_bytes()); // exports
    put(0xd0, &directories[0].to_le_bytes()); // imports
    let (start, size) = (0x148 + 40 * u32::from(sections), rest.len() as u32);
    for index in 0..sections {
        // Only the last has the addresses that are asked for.
        let address = if index + 1 == sections { 0x1000 } else { 0x7000_0000 };
        bytes.extend(b".rdata\0\0");
        bytes.extend(words(&[size, address, size, start, 0, 0, 0, 0x4000_0040]));
    }
    bytes.extend(rest);
    bytes
}

const NOTE: &[u8] = b"\x0d\0\0\0\0\0\0\0\x01\0\0\0alloc-switch\0\0\0\0";

/// Files of each kind that say the same many times, each of about the same number of bytes.
fn crafted(size: usize) -> Vec<(&'static str, Vec<u8>)> {
    let half = size / 2;
    let (endless, long) = (vec![b'x'; half], [&vec![b'x'; half - 1][..], b"\0"].concat());
    let symbols = vec![0; half / 24 * 24]; // each is called what the string table begins with
    let many = half as u64 / 64;
    let many_sections = |kind: u32, content: &[u8]| {
        let count = many.min(60_000) as u16;
        let mut bytes = elf((0, 0), (64, count));
        let start = 64 + 64 * u64::from(count);
        bytes.extend(section(0, 0, 0, 0, 0));
        bytes.extend(section(3, start, content.len() as u64, 0, 0));
        for _ in 2..count {
            bytes.extend(section(kind, start, content.len() as u64, 0, 0));
        }
        bytes.extend(content);
        bytes
    };
    let needed: Vec<(u64, u64)> = (0..half as u64 / 16).map(|_| (1, 0)).collect();
    let stabs = [&[1, 0, 0, 0, 0x20][..], &[0; 11]].concat().repeat(half / 16);
    let symtabs = |symbol: &[u8], strings: &[u8]| {
        let count = half / 24;
        let start = 32 + 24 * count as u32;
        let symbols = symbol.len() as u32;
        let command = words(&[2, 24, start, symbols / 16, start + symbols, strings.len() as u32]);
        mach_o(&vec![command; count], &[symbol, strings].concat())
    };
    let import = |strings: &[u8]| {
        // one library, and very many functions with one name
        let count = half / 8;
        let name = 0x1000 + 40 + 8 * (count as u32 + 1);
        let library = words(&[0x1000 + 40, 0, 0, name, 0x1000 + 40, 0, 0, 0, 0, 0]);
        let thunks = [longs(&[u64::from(name)]).repeat(count), longs(&[0])].concat();
        [library, thunks, strings.to_vec()].concat()
    };
    let libraries = |strings: &[u8]| {
        let count = half / 20;
        let name = 0x1000 + 20 * (count as u32 + 1) + 8;
        let library = words(&[name - 8, 0, 0, name, name - 8]);
        [library.repeat(count), words(&[0; 5]), longs(&[0]), strings.to_vec()].concat()
    };
    let export = |strings: &[u8]| {
        let count = half as u32 / 4;
        let name = 0x1000 + 40 + 4 * count;
        let directory = words(&[0, 0, 0, name, 1, 0, count, 0, 0x1000 + 40, 0]);
        [directory, words(&[name]).repeat(count as usize), strings.to_vec()].concat()
    };
    let coff = {
        let count = half as u32 / 18;
        let header = [&[0x64, 0x86, 0, 0][..], &words(&[0, 20, count, 0])].concat();
        let symbol = [&words(&[0, 4])[..], &[0; 10]].concat();
        [header, symbol.repeat(count as usize), words(&[long.len() as u32 + 4]), long.clone()]
            .concat()
    };
    let fat = {
        let part =
            mach_o(&[[words(&[0x1b, half as u32 & !7]), vec![0; (half & !7) - 8]].concat()], b"");
        let count = 200_u32;
        let head = [0xcafe_babf, count].map(u32::to_be_bytes).concat();
        let slice = [
            [0x0100_0007, 3].map(u32::to_be_bytes).concat(),
            [8192, part.len() as u64].map(u64::to_be_bytes).concat(),
            [12_u32, 0].map(u32::to_be_bytes).concat(),
        ];
        let mut bytes = [head, slice.concat().repeat(count as usize)].concat();
        bytes.resize(8192, 0);
        bytes.extend(part);
        bytes
    };
    let notes = {
        let note = [&NOTE[..4], &((half as u32).to_le_bytes()), &NOTE[8..]].concat();
        let mut bytes = elf((64, 1), (0, 0));
        bytes.extend(segment(1, 4, 0, 0, size as u64));
        bytes.extend(note.repeat(half / 28));
        bytes.resize(size, b'x');
        bytes
    };
    let header = |name: &str, size: usize| {
        format!("{name:16}{:12}{:6}{:6}{:8}{size:<10}`\n", 0, 0, 0, 644).into_bytes()
    };
    let names = {
        let mut table = vec![b'x'; half & !1];
        table.splice((half & !1) - 2.., *b"/\n");
        let start = [b"!<arch>\n".to_vec(), header("//", half & !1), table].concat();
        [start, header("/0", 0).repeat(half / 60)].concat()
    };
    let code = {
        // "mov w0, 30" again and again, after the messages of a jemalloc
        let mut bytes = elf((64, 1), (0, 0));
        bytes[18] = 183;
        bytes.extend(segment(1, 5, 0, 0, size as u64));
        bytes.extend(alloc_inspect::MESSAGES.map(|text| format!("{text}\n\0")).concat().bytes());
        bytes.extend(b"\0MALLOC_CONF\0");
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(words(&[0x5280_0000 | 30 << 5]).repeat((size - bytes.len()) / 4));
        bytes
    };
    let options = {
        // sixteen symbols, and four tables of relocations in which none of them is found
        let symbol: Vec<u8> = (0..16_u64)
            .flat_map(|at| [words(&[1, 0x0001_0001]), longs(&[1 << 40 | at, 8])].concat())
            .collect();
        let table = vec![0; size / 24 * 24];
        let relocations = (4, 3, 24, &table[..]);
        let mut bytes = sections(&[
            (3, 0, 0, b"\0malloc_conf\0"),
            (2, 1, 24, &symbol),
            relocations,
            (4, 3, 24, b""),
            (4, 3, 24, b""),
        ]);
        // the others are the same again
        let same = bytes[64 + 3 * 64..64 + 4 * 64].to_vec();
        bytes[64 + 4 * 64..64 + 5 * 64].copy_from_slice(&same);
        bytes[64 + 5 * 64..64 + 6 * 64].copy_from_slice(&same);
        bytes
    };
    let wasm = {
        let number = |mut value: usize| {
            let mut bytes = Vec::new();
            while value >= 128 {
                bytes.push(value as u8 | 128);
                value >>= 7;
            }
            bytes.push(value as u8);
            bytes
        };
        let import = b"\0\x06malloc\0\0";
        let count = size / import.len();
        let content = [number(count), import.repeat(count)].concat();
        [b"\0asm\x01\0\0\0\x02".to_vec(), number(content.len()), content].concat()
    };
    vec![
        ("names of sections without an end", many_sections(1, &endless)),
        ("names of sections of notes without an end", many_sections(7, &endless)),
        ("names of sections", many_sections(1, &long)),
        ("comments", many_sections(1, &[b".comment\0", &long[9..]].concat())),
        ("symbols", sections(&[(3, 0, 0, &long), (2, 1, 24, &symbols)])),
        ("symbols without a name's end", sections(&[(3, 0, 0, &endless), (2, 1, 24, &symbols)])),
        ("libraries", dynamic(&needed, &long)),
        ("libraries without a name's end", dynamic(&needed, &endless)),
        ("dynamic sections", {
            let count = (half / 56).min(60_000) as u64;
            let mut bytes = elf((64, count as u16), (0, 0));
            bytes.extend(segment(2, 4, 64, 64, 48 * count).repeat(count as usize));
            bytes.resize(size, 0);
            bytes
        }),
        ("options", options),
        ("notes", notes),
        ("code", code),
        ("symbol tables", symtabs(&stabs, b"")),
        ("symbol tables with long names", symtabs(&[0; 16], &long)),
        ("imports", pe(1, [0x1000, 0], &import(&[b"xx", &long[..]].concat()))),
        ("imports without a name's end", pe(1, [0x1000, 0], &import(&endless))),
        ("imports from the last of many sections", pe(900, [0x1000, 0], &import(b"ab\0\0a\0"))),
        ("libraries of imports", pe(1, [0x1000, 0], &libraries(&long))),
        ("exports", pe(1, [0, 0x1000], &export(&long))),
        ("exports without a name's end", pe(1, [0, 0x1000], &export(&endless))),
        ("symbols of COFF", coff),
        ("parts of a universal file", fat),
        ("names of members", names),
        ("imports of WebAssembly", wasm),
    ]
}

/// The count is what the time follows, and no machine's load changes it.
#[test]
fn bytes_looked_at_grow_with_the_file_and_no_faster() {
    const SMALL: usize = 1 << 17;
    let looked = |bytes: &[u8]| inspect_counted(bytes).1 as f64;
    for ((what, small), (_, large)) in crafted(SMALL).iter().zip(crafted(4 * SMALL)) {
        survives(what, small);
        survives(what, &large);
        let (before, after) = (looked(small), looked(&large));
        let times = after / before * small.len() as f64 / large.len() as f64;
        assert!(times < 1.5, "{what}: {times} times as many for each byte");
        assert!(before > small.len() as f64 / 3.0, "{what}: {:?}", inspect_all(small));
    }
}

/// Names that take more room as text than in the file.
#[test]
fn names_are_kept_in_bounds() {
    let symbol = |names: &[u8]| {
        let count = names.iter().filter(|byte| **byte == 0).count() - 1;
        let mut at = 1_u32;
        let mut table = vec![0; 24];
        for name in names[1..].split(|byte| *byte == 0).take(count) {
            table.extend([words(&[at, 0x0001_0012]), longs(&[4096, 8])].concat());
            at += name.len() as u32 + 1;
        }
        sections(&[(3, 0, 0, names), (11, 1, 24, &table)])
    };
    let one = |start: &str, fill: &[u8], size: usize| {
        [b"\0", start.as_bytes(), &fill.repeat(size / fill.len()), b"\0"].concat()
    };
    for (what, names) in [
        ("one name", one("_rjem_", b"\x01", 16 << 20)),
        ("one that others would not define", one("_ZN5scudo", b"\x01", 16 << 20)),
        ("one with options", one("", b"\xffmalloc_conf", 12 << 20)),
        ("many", one("", &[b"_rjem_", &[1; 4000][..], b"\0"].concat(), 16 << 20)),
    ] {
        survives(what, &symbol(&names));
    }
    // of a library
    let needed: Vec<(u64, u64)> = (0..30_000).map(|at| (1, at)).collect();
    survives("names of libraries", &dynamic(&needed, &one("", b"\x01", 40_000)));

    // of very many reports
    let part = mach_o(&[], b"");
    let count = 300_000_u32;
    let slice = [
        [0x0100_0007, 3].map(u32::to_be_bytes).concat(),
        [8, part.len() as u64].map(u64::to_be_bytes).concat(),
        [12_u32, 0].map(u32::to_be_bytes).concat(),
    ];
    let head = [0xcafe_babf, count].map(u32::to_be_bytes).concat();
    assert!(survives("reports", &[head, slice.concat().repeat(count as usize)].concat()));

    // of options in each of many linked members
    let strings = [b"\0malloc_conf\0", &[b'a'; 4000][..], b"\0"].concat();
    let symbol = [words(&[1, 0x0001_0001]), longs(&[4096, 8])].concat().repeat(16);
    let mut member = sections(&[(3, 0, 0, &strings), (2, 1, 24, &symbol)]);
    member[16] = 3;
    let header = format!("{:16}{:12}{:6}{:6}{:8}{:<10}`\n", "m.o/", 0, 0, 0, 644, member.len());
    member.splice(0..0, header.into_bytes());
    member.resize(member.len().next_multiple_of(2), 0);
    survives("options", &[b"!<arch>\n".to_vec(), member.repeat(5000)].concat());
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
