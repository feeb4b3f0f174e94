//! Reads the formats. What a file says about itself is not believed: every table that is walked is
//! paid for from a [`Budget`], so that tables which overlap cannot multiply the work.

use std::collections::BTreeSet;

use object::read::archive::ArchiveFile;
use object::read::coff::{CoffFile, CoffHeader, ImageSymbol};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, Rela, SectionHeader, Sym};
use object::read::macho::{
    FatArch, MachHeader, MachOFatFile32, MachOFatFile64, Nlist, Section, Segment,
};
use object::read::pe::{ImageNtHeaders, Import, PeFile};
use object::read::FileKind;
use object::{elf, macho, pe, Architecture, Endianness, LittleEndian, Object};

use crate::evidence::{names_jemalloc, Evidence, ENVIRONMENT};
use crate::{
    advice, text, Allocator, Carried, Decision, Error, Format, Jemalloc, Kind, Malloc, Report,
    Sureness,
};

/// How much work a file may make: some for each of its bytes, each of which is looked at a few times
/// if the file is honest.
pub(crate) struct Budget(u64);

impl Budget {
    pub fn of(length: usize) -> Self {
        Self((length as u64).saturating_mul(32).saturating_add(1 << 20))
    }

    pub fn left(&self) -> u64 {
        self.0
    }

    fn pay(&mut self, work: usize) -> Result<(), Error> {
        let left = self.0.checked_sub(work as u64);
        self.0 = left.ok_or_else(|| damaged("its tables overlap"))?;
        Ok(())
    }
}

/// Room for names in a report, in bytes.
const EXPORTS: usize = 16 << 20;
const JEMALLOC_SYMBOLS: usize = 1 << 20;
const NEEDED: usize = 1 << 20;

/// Names, up to a number of bytes.
struct Names {
    names: BTreeSet<String>,
    room: usize,
}

impl Names {
    fn new(room: usize) -> Self {
        Self { names: BTreeSet::new(), room }
    }

    fn insert(&mut self, name: &[u8]) {
        // what a string and its place in the set take, however short it is
        let size = name.len() + 48;
        if size <= self.room && self.names.insert(text(name)) {
            self.room -= size;
        }
    }
}

/// What is gathered over a file, or over all members of an archive.
struct Gathered {
    evidence: Evidence,
    jemalloc_symbols: Names,
    exports: Names,
    decisions: Vec<Decision>,
    malformed_decision: bool,
    imports_malloc: bool,
    imports_aligned: bool,
    own_malloc: bool,
    /// Symbols with options for jemalloc, and the options.
    options: Vec<(String, Option<String>)>,
    page_size: Option<u64>,
}

impl Default for Gathered {
    fn default() -> Self {
        Self {
            evidence: Evidence::default(),
            jemalloc_symbols: Names::new(JEMALLOC_SYMBOLS),
            exports: Names::new(EXPORTS),
            decisions: Vec::new(),
            malformed_decision: false,
            imports_malloc: false,
            imports_aligned: false,
            own_malloc: false,
            options: Vec::new(),
            page_size: None,
        }
    }
}

/// Where jemalloc keeps the options that it was built with.
const BUILT_IN: &str = "config_malloc_conf";

/// The functions of a C library, and of C++'s on top of it, that give or take memory.
const MALLOC: [&str; 14] = [
    "malloc",
    "calloc",
    "realloc",
    "free",
    "posix_memalign",
    "aligned_alloc",
    "memalign",
    "_Znwm",
    "_Znam",
    "_Znwj",
    "_Znaj",
    "_ZdlPv",
    "_ZdaPv",
    "_ZdlPvm",
];

impl Gathered {
    /// Takes notice of a symbol; of a Mach-O or 32-bit Windows one, without the underscore that they
    /// put before every C name.
    fn symbol(&mut self, full: &[u8], underscored: bool, defined: bool) {
        // without the version of a symbol, as in malloc@GLIBC_2.2.5
        let full = full.split(|byte| *byte == b'@').next().unwrap_or(full);
        let name = if underscored { full.strip_prefix(b"_").unwrap_or(full) } else { full };
        if defined {
            self.evidence.defines(name);
            self.own_malloc |= name == b"malloc";
        } else {
            self.imports_malloc |= MALLOC.iter().any(|known| known.as_bytes() == name);
            self.imports_aligned |=
                [&b"posix_memalign"[..], b"aligned_alloc", b"memalign"].contains(&name);
        }
        if names_jemalloc(full) {
            self.jemalloc_symbols.insert(full);
        }
    }

    fn report(self, rust: bool, format: Format, kind: Kind, architecture: String) -> Report {
        // Rust's system allocator on Unix asks the C library for aligned memory.
        let unix = matches!(format, Format::Elf | Format::MachO);
        let linked = matches!(kind, Kind::Executable | Kind::SharedLibrary);
        let apart = rust && unix && linked && !self.imports_aligned;
        Report {
            format,
            kind,
            architecture,
            allocators: Vec::new(),
            malloc: match (self.own_malloc, self.imports_malloc) {
                (true, _) => Malloc::Own,
                (false, true) if apart => Malloc::ImportedBesides,
                (false, true) => Malloc::Imported,
                (false, false) => Malloc::None,
            },
            jemalloc: None,
            jemalloc_symbols: self.jemalloc_symbols.names.into_iter().collect(),
            decisions: self.decisions,
            static_tls: false,
            tls_size: 0,
            exports: self.exports.names.into_iter().collect(),
            needed: Vec::new(),
            advice: Vec::new(),
        }
    }
}

/// What one file says of itself beside what is gathered.
struct Header {
    format: Format,
    kind: Kind,
    architecture: Architecture,
    static_tls: bool,
    tls_size: u64,
    needed: Vec<String>,
}

impl Header {
    fn new(format: Format, kind: Kind, architecture: Architecture) -> Self {
        Self { format, kind, architecture, static_tls: false, tls_size: 0, needed: Vec::new() }
    }
}

pub(crate) fn inspect_all(bytes: &[u8], budget: &mut Budget) -> Result<Vec<Report>, Error> {
    match begins(bytes)? {
        Begins::Universal32 => {
            slices(bytes, MachOFatFile32::parse(bytes).map_err(damaged)?.arches(), budget)
        }
        Begins::Universal64 => {
            slices(bytes, MachOFatFile64::parse(bytes).map_err(damaged)?.arches(), budget)
        }
        Begins::Archive => Ok(vec![archive(bytes, budget, None)?]),
        Begins::Wasm | Begins::Code(_) => Ok(vec![single(bytes, budget)?]),
    }
}

fn slices<A: FatArch>(
    bytes: &[u8],
    architectures: &[A],
    budget: &mut Budget,
) -> Result<Vec<Report>, Error> {
    if architectures.is_empty() {
        return Err(Error::Damaged("a universal file with nothing in it".into()));
    }
    let mut reports = Vec::new();
    for slice in architectures {
        budget.pay(size_of::<A>())?;
        let slice = slice.data(bytes).map_err(damaged)?;
        reports.push(match begins(slice) {
            Ok(Begins::Archive) => archive(slice, budget, None)?,
            Ok(Begins::Code(FileKind::MachO32 | FileKind::MachO64)) => single(slice, budget)?,
            _ => return Err(damaged("a part of a universal file is no Mach-O")),
        });
    }
    Ok(reports)
}

fn single(bytes: &[u8], budget: &mut Budget) -> Result<Report, Error> {
    let mut gathered = Gathered::default();
    let header = file(bytes, &mut gathered, budget)?;
    Ok(conclude(header, gathered))
}

/// Finds the member of a thin archive with that name.
pub(crate) type Member<'a> = dyn FnMut(&[u8]) -> Result<Vec<u8>, Error> + 'a;

pub(crate) fn archive(
    bytes: &[u8],
    budget: &mut Budget,
    mut elsewhere: Option<&mut Member<'_>>,
) -> Result<Report, Error> {
    let archive = ArchiveFile::parse(bytes).map_err(damaged)?;
    let mut gathered = Gathered::default();
    let mut whole: Option<Header> = None;
    let mut bitcode = false;
    for member in archive.members() {
        let member = member.map_err(damaged)?;
        // To find the name, its end was looked for.
        budget.pay(60 + member.name().len())?;
        let (data, read);
        if archive.is_thin() {
            let elsewhere = elsewhere.as_mut().ok_or_else(|| {
                Error::Damaged("a thin archive, whose members are files elsewhere".into())
            })?;
            read = elsewhere(member.name())?;
            budget.0 = budget.0.saturating_add(Budget::of(read.len()).0);
            data = &read[..];
        } else {
            data = member.data(bytes).map_err(damaged)?;
        }
        // Rust metadata and Windows import stubs are members too, and hold no code.
        bitcode |= data.starts_with(b"BC\xC0\xDE") || data.starts_with(b"\xDE\xC0\x17\x0B");
        if !matches!(begins(data), Ok(Begins::Code(_) | Begins::Wasm)) {
            continue;
        }
        let part = file(data, &mut gathered, budget)?;
        whole.get_or_insert(Header::new(part.format, Kind::Archive, part.architecture));
    }
    let header = whole.ok_or_else(|| match bitcode {
        true => Error::Damaged("an archive of LLVM bitcode, which is not read".into()),
        false => Error::NothingToJudge("an archive without any object file"),
    })?;
    gathered.exports = Names::new(0);
    Ok(conclude(header, gathered))
}

/// From what was gathered to what it means.
fn conclude(header: Header, mut gathered: Gathered) -> Report {
    let evidence = std::mem::take(&mut gathered.evidence);
    let options = std::mem::take(&mut gathered.options);
    let (page_size, malformed) = (gathered.page_size, gathered.malformed_decision);
    let architecture = match header.architecture {
        Architecture::Unknown => "unknown".to_owned(),
        known => format!("{known:?}").to_lowercase(),
    };
    let mut report = gathered.report(evidence.rust, header.format, header.kind, architecture);
    report.static_tls = header.static_tls;
    report.tls_size = header.tls_size;
    report.needed = header.needed;
    report.allocators = evidence.carried(&report.needed);
    if header.format == Format::Wasm && evidence.dlmalloc {
        report.allocators.push(Carried {
            allocator: Allocator::Dlmalloc,
            version: None,
            library: None,
            sureness: Sureness::Certain,
            evidence: "its assertions or its names".to_owned(),
        });
    }
    let mut ignored = Vec::new();
    if let Some(found) = evidence.jemalloc() {
        // Since jemalloc 5 its messages about these two are what they are now.
        let five = found.version.as_ref().is_some_and(|version| version.starts_with("5."));
        let told = |here: bool| (here || five).then_some(here);
        let content_of = |symbol: &str| {
            options.iter().find(|(name, _)| name == symbol).and_then(|(_, content)| content.clone())
        };
        let options_symbol = found.variable.to_ascii_lowercase();
        report.jemalloc = Some(Jemalloc {
            prefixed: found.variable.len() > ENVIRONMENT.len(),
            options: content_of(&options_symbol),
            built_in_options: content_of(BUILT_IN),
            profiling: told(found.profiling),
            statistics: told(found.statistics),
            debug: found.debug,
            page_size,
            version: found.version,
            variable: found.variable,
            options_symbol,
        });
    }
    if let Some(jemalloc) = &report.jemalloc {
        for (name, content) in &options {
            let read = [&jemalloc.options_symbol, BUILT_IN].contains(&name.as_str());
            if let Some(content) = content.as_ref().filter(|_| !read) {
                ignored.push(format!(
                    "the options in {name} (\"{content}\") are ignored: this jemalloc reads {}",
                    jemalloc.options_symbol
                ));
            }
        }
    }
    report.advice = advice::advice(&report);
    report.advice.extend(ignored);
    if malformed {
        report.advice.push("it has a note of alloc-switch's that cannot be read".to_owned());
    }
    report
}

fn file(bytes: &[u8], gathered: &mut Gathered, budget: &mut Budget) -> Result<Header, Error> {
    budget.pay(bytes.len())?;
    let kind = match begins(bytes)? {
        Begins::Wasm => return read_wasm(bytes, gathered, budget),
        Begins::Code(kind) => kind,
        _ => return Err(Error::NotBinary),
    };
    match kind {
        FileKind::Elf32 => read_elf::<elf::FileHeader32<Endianness>>(bytes, gathered, budget),
        FileKind::Elf64 => read_elf::<elf::FileHeader64<Endianness>>(bytes, gathered, budget),
        FileKind::MachO32 => read_macho::<macho::MachHeader32<Endianness>>(bytes, gathered, budget),
        FileKind::MachO64 => read_macho::<macho::MachHeader64<Endianness>>(bytes, gathered, budget),
        FileKind::Pe32 => read_pe::<pe::ImageNtHeaders32>(bytes, gathered, budget),
        FileKind::Pe64 => read_pe::<pe::ImageNtHeaders64>(bytes, gathered, budget),
        FileKind::CoffBig => read_coff::<pe::AnonObjectHeaderBigobj>(bytes, gathered, budget),
        _ => read_coff::<pe::ImageFileHeader>(bytes, gathered, budget),
    }
}

/// Parts of a file, each byte once, in order, whatever the tables say.
#[derive(Default)]
struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    fn push(&mut self, offset: u64, size: u64) -> Result<(), Error> {
        let end = offset.checked_add(size).ok_or_else(|| damaged("a part of it is too large"))?;
        // Tables of absurd length: what follows each other is one.
        match self.0.last_mut() {
            Some((start, last)) if *start <= offset && offset <= *last => *last = end.max(*last),
            _ => self.0.push((offset, end)),
        }
        if self.0.len() > 1 << 20 {
            return Err(damaged("it has too many parts"));
        }
        Ok(())
    }

    fn each<'a>(
        mut self,
        bytes: &'a [u8],
        mut look: impl FnMut(&'a [u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.0.sort_unstable();
        let mut done = 0;
        for (start, end) in self.0 {
            let start = start.max(done);
            if start < end {
                let part = usize::try_from(start).ok().zip(usize::try_from(end).ok());
                let part = part.and_then(|(start, end)| bytes.get(start..end));
                look(part.ok_or_else(|| damaged("a part of it is missing"))?)?;
                done = end;
            }
        }
        Ok(())
    }
}

fn read_elf<E: FileHeader<Endian = Endianness>>(
    bytes: &[u8],
    gathered: &mut Gathered,
    budget: &mut Budget,
) -> Result<Header, Error> {
    let file = E::parse(bytes).map_err(damaged)?;
    let endian = file.endian().map_err(damaged)?;
    let segments = file.program_headers(endian, bytes).map_err(damaged)?;
    let sections = file.sections(endian, bytes).map_err(damaged)?;
    let machine = file.e_machine(endian);
    let mut header = Header::new(Format::Elf, Kind::Object, elf_architecture(machine, file));

    // Through the program headers, as the loader does: `strip` may have taken the section headers.
    let mut interpreter = false;
    let mut dynamic: &[E::Dyn] = &[];
    let (mut loaded, mut code) = (Ranges::default(), Ranges::default());
    for segment in segments {
        match segment.p_type(endian) {
            elf::PT_TLS => header.tls_size = segment.p_memsz(endian).into(),
            elf::PT_INTERP => interpreter = true,
            elf::PT_DYNAMIC => {
                dynamic = segment.dynamic(endian, bytes).map_err(damaged)?.unwrap_or_default();
            }
            elf::PT_LOAD => {
                let (offset, size) = segment.file_range(endian);
                loaded.push(offset, size)?;
                if segment.p_flags(endian) & elf::PF_X != 0 {
                    if size == 0 && segment.p_memsz(endian).into() > 0 {
                        let why = "debug information, kept apart from its program";
                        return Err(Error::NothingToJudge(why));
                    }
                    code.push(offset, size)?;
                }
            }
            _ => {}
        }
    }
    let dynamic = dynamic.split(|entry| entry.tag(endian) == elf::DT_NULL).next();
    let dynamic = dynamic.unwrap_or_default();
    budget.pay(size_of_val(dynamic))?;
    let entries = || dynamic.iter().map(|entry| (entry.tag(endian), entry.val(endian)));
    let value = |wanted: i64| entries().find_map(|(tag, value)| (tag == wanted).then_some(value));
    let has_flag =
        |tag: i64, flag: u32| value(tag).is_some_and(|flags| flags & u64::from(flag) != 0);

    header.static_tls = has_flag(elf::DT_FLAGS, elf::DF_STATIC_TLS);
    header.kind = match file.e_type(endian) {
        elf::ET_REL => Kind::Object,
        elf::ET_EXEC => Kind::Executable,
        elf::ET_DYN => {
            // libc.so has an interpreter too, but a name.
            let named = value(elf::DT_SONAME).is_some();
            if has_flag(elf::DT_FLAGS_1, elf::DF_1_PIE) || (interpreter && !named) {
                Kind::Executable
            } else {
                Kind::SharedLibrary
            }
        }
        _ => {
            return Err(Error::NothingToJudge("an ELF file that is no program, library or object"))
        }
    };

    let at_address = |address: u64, size: u64| {
        let loads = segments.iter().filter(|s| s.p_type(endian) == elf::PT_LOAD);
        loads.filter_map(|s| s.data_range(endian, bytes, address, size).ok().flatten()).next()
    };
    let strings = match (value(elf::DT_STRTAB), value(elf::DT_STRSZ)) {
        (Some(address), Some(size)) => at_address(address, size)
            .ok_or_else(|| damaged("the dynamic string table is not in it"))?,
        _ => &[],
    };
    let mut room = NEEDED;
    for (tag, offset) in entries() {
        if tag == elf::DT_NEEDED {
            let name = usize::try_from(offset).ok().and_then(|start| strings.get(start..));
            let name = name.and_then(|name| name.split(|byte| *byte == 0).next());
            let name = name.ok_or_else(|| damaged("the name of a needed library is not in it"))?;
            budget.pay(name.len())?;
            if let Some(left) = room.checked_sub(name.len() + 48) {
                room = left;
                header.needed.push(text(name));
            }
        }
    }

    let underscored = false;
    let mut options = Vec::new();
    for table in [elf::SHT_SYMTAB, elf::SHT_DYNSYM] {
        let symbols = sections.symbols(endian, bytes, table).map_err(damaged)?;
        for symbol in symbols.iter() {
            let name = symbol.name(endian, symbols.strings()).map_err(damaged)?;
            budget.pay(size_of::<E::Sym>() + name.len())?;
            let defined = !symbol.is_undefined(endian);
            gathered.symbol(name, underscored, defined);
            if !defined || header.kind == Kind::Object {
                continue;
            }
            if table == elf::SHT_DYNSYM && !symbol.is_local() {
                gathered.exports.insert(name);
            }
            if name.ends_with(b"malloc_conf")
                && symbol.st_type() == elf::STT_OBJECT
                && options.len() < 16
            {
                options.push((name, symbol.st_value(endian).into()));
            }
        }
    }
    if sections.is_empty() {
        // Without section headers: the names alone, of what it imports and of what it exports.
        let mut names = strings.split(|byte| *byte == 0);
        gathered.imports_malloc |= names.any(|name| name == b"malloc");
    }
    // Most are in both tables.
    options.sort_unstable();
    options.dedup();
    for (name, address) in options {
        budget.pay(bytes.len())?;
        let pointer = relocated::<E>(&sections, endian, bytes, address).or_else(|| {
            let word = at_address(address, if file.is_class_64() { 8 } else { 4 })?;
            Some(match (word, endian) {
                (&[a, b, c, d], Endianness::Little) => u32::from_le_bytes([a, b, c, d]).into(),
                (&[a, b, c, d], Endianness::Big) => u32::from_be_bytes([a, b, c, d]).into(),
                (_, Endianness::Little) => u64::from_le_bytes(word.try_into().ok()?),
                (_, Endianness::Big) => u64::from_be_bytes(word.try_into().ok()?),
            })
        });
        let loads = segments.iter().filter(|s| s.p_type(endian) == elf::PT_LOAD);
        let content = pointer.filter(|pointer| *pointer != 0).and_then(|pointer| {
            loads
                .filter_map(|segment| {
                    let start = pointer.checked_sub(segment.p_vaddr(endian).into())?;
                    segment.data(endian, bytes).ok()?.get(usize::try_from(start).ok()?..)
                })
                .next()
        });
        gathered.options.push((text(name), content.and_then(options_text)));
    }

    // Rust's compiler signs, too, where even the messages of its library were left out.
    for section in sections.iter().filter(|s| s.sh_type(endian) == elf::SHT_PROGBITS) {
        let name = sections.section_name(endian, section).unwrap_or_default();
        budget.pay(name.len())?;
        if name == b".comment" {
            let comment = section.data(endian, bytes).map_err(damaged)?;
            budget.pay(comment.len())?;
            let signed = memchr::memmem::find(comment, b"rustc version").is_some();
            gathered.evidence.rust |= signed;
        }
    }

    read_decisions::<E>(&sections, endian, bytes, gathered, budget)?;

    // What is loaded: the segments, which even a file without section headers has. ELF objects have
    // sections only.
    if segments.is_empty() {
        let data = u64::from(elf::SHF_ALLOC);
        for section in sections.iter() {
            let flags = section.sh_flags(endian).into();
            if flags & (data | u64::from(elf::SHF_EXECINSTR)) == data {
                if let Some((offset, size)) = section.file_range(endian) {
                    loaded.push(offset, size)?;
                }
            }
        }
    }
    loaded.each(bytes, |part| {
        gathered.evidence.scan(part);
        Ok(())
    })?;
    if machine == elf::EM_AARCH64 && gathered.evidence.jemalloc().is_some() {
        let mut sizes = BTreeSet::new();
        code.each(bytes, |part| {
            budget.pay(part.len())?;
            page_sizes(part, 30, &mut sizes);
            Ok(())
        })?;
        gathered.page_size = (sizes.len() == 1).then(|| sizes.first().copied()).flatten();
    }
    Ok(header)
}

fn elf_architecture<E: FileHeader>(machine: u16, file: &E) -> Architecture {
    match (machine, file.is_class_64()) {
        (elf::EM_AARCH64, true) => Architecture::Aarch64,
        (elf::EM_AARCH64, false) => Architecture::Aarch64_Ilp32,
        (elf::EM_ARM, _) => Architecture::Arm,
        (elf::EM_386, _) => Architecture::I386,
        (elf::EM_X86_64, true) => Architecture::X86_64,
        (elf::EM_X86_64, false) => Architecture::X86_64_X32,
        (elf::EM_LOONGARCH, true) => Architecture::LoongArch64,
        (elf::EM_MIPS, false) => Architecture::Mips,
        (elf::EM_MIPS, true) => Architecture::Mips64,
        (elf::EM_PPC, _) => Architecture::PowerPc,
        (elf::EM_PPC64, _) => Architecture::PowerPc64,
        (elf::EM_RISCV, false) => Architecture::Riscv32,
        (elf::EM_RISCV, true) => Architecture::Riscv64,
        (elf::EM_S390, true) => Architecture::S390x,
        (elf::EM_SPARCV9, true) => Architecture::Sparc64,
        _ => Architecture::Unknown,
    }
}

/// The address that the loader writes at `address`, where a program may lie anywhere.
fn relocated<E: FileHeader<Endian = Endianness>>(
    sections: &object::read::elf::SectionTable<'_, E>,
    endian: Endianness,
    bytes: &[u8],
    address: u64,
) -> Option<u64> {
    // One table is for all of a program's own addresses; a second is for its calls.
    let tables = sections.iter().filter(|section| section.sh_type(endian) == elf::SHT_RELA);
    for table in tables.take(4) {
        let (relocations, _) = table.rela(endian, bytes).ok()??;
        for relocation in relocations {
            let at: u64 = relocation.r_offset(endian).into();
            if at == address && relocation.r_sym(endian, false) == 0 {
                return u64::try_from(relocation.r_addend(endian).into()).ok();
            }
        }
    }
    None
}

/// The text of options: printable, and of a length that somebody may have typed.
fn options_text(data: &[u8]) -> Option<String> {
    let text = &data[..data.len().min(4096)];
    let text = text.split(|byte| *byte == 0).next()?;
    let printable = text.iter().all(|byte| (b' '..=b'~').contains(byte));
    (!text.is_empty() && text.len() < 4096 && printable)
        .then(|| String::from_utf8_lossy(text).into_owned())
}

/// Reads the notes that alloc-switch leaves: one line of text in 128 bytes, the rest NUL.
fn read_decisions<E: FileHeader<Endian = Endianness>>(
    sections: &object::read::elf::SectionTable<'_, E>,
    endian: Endianness,
    bytes: &[u8],
    gathered: &mut Gathered,
    budget: &mut Budget,
) -> Result<(), Error> {
    const SECTION: &[u8] = b".note.alloc-switch";
    const MOST: usize = 16;
    for section in sections.iter().filter(|s| s.sh_type(endian) == elf::SHT_NOTE) {
        let name = sections.section_name(endian, section).unwrap_or_default();
        budget.pay(name.len())?;
        if !name.starts_with(SECTION) {
            continue;
        }
        budget.pay(section.sh_size(endian).into().try_into().unwrap_or(usize::MAX))?;
        let Ok(Some(mut notes)) = section.notes(endian, bytes) else {
            gathered.malformed_decision = true;
            continue;
        };
        loop {
            let note = match notes.next() {
                Ok(Some(note)) => note,
                Ok(None) => break,
                Err(_) => {
                    gathered.malformed_decision = true;
                    break;
                }
            };
            let ours = note.name() == b"alloc-switch" && note.n_type(endian) == 1;
            match decision(note.desc()).filter(|_| ours) {
                None => gathered.malformed_decision = true,
                Some(decision) => {
                    if gathered.decisions.len() < MOST && !gathered.decisions.contains(&decision) {
                        gathered.decisions.push(decision);
                    }
                }
            }
        }
    }
    Ok(())
}

/// `ALLOCATOR (REASON)`
fn decision(description: &[u8]) -> Option<Decision> {
    let length = description.iter().rposition(|byte| *byte != 0)? + 1;
    let line = std::str::from_utf8(&description[..length]).ok()?;
    let (allocator, reason) = line.strip_suffix(')')?.split_once(" (")?;
    (description.len() == 128
        && !allocator.is_empty()
        && !reason.is_empty()
        && crate::printable(line) == line)
        .then(|| Decision {
            text: line.to_owned(),
            allocator: allocator.to_owned(),
            reason: reason.to_owned(),
        })
}

/// Looks in 64-bit Arm code for what jemalloc does first: it asks `sysconf` for the page size (whose
/// number is given) and compares the answer with the size that it was built for.
fn page_sizes(code: &[u8], number: u32, sizes: &mut BTreeSet<u64>) {
    let words: &[[u8; 4]] = code.as_chunks().0;
    let word = |at: usize| words.get(at).map(|bytes| u32::from_le_bytes(*bytes));
    let ask = 0x5280_0000 | number << 5; // mov w0, number
    for at in 0..words.len() {
        if word(at) != Some(ask) {
            continue;
        }
        for after in at + 1..at + 16 {
            // cmp xN, size; the size counts in units of 4 KiB
            if let Some(compare) = word(after).filter(|word| word & 0xffc0_001f == 0xf140_001f) {
                let size = u64::from(compare >> 10 & 0xfff) << 12;
                if size.is_power_of_two() && sizes.len() < 2 {
                    sizes.insert(size);
                }
                break;
            }
        }
    }
}

fn read_macho<M: MachHeader<Endian = Endianness>>(
    bytes: &[u8],
    gathered: &mut Gathered,
    budget: &mut Budget,
) -> Result<Header, Error> {
    let file = M::parse(bytes, 0).map_err(damaged)?;
    let endian = file.endian().map_err(damaged)?;
    let kind = match file.filetype(endian) {
        macho::MH_OBJECT => Kind::Object,
        macho::MH_EXECUTE => Kind::Executable,
        macho::MH_DYLIB | macho::MH_BUNDLE => Kind::SharedLibrary,
        _ => {
            let why = "a Mach-O file that is no program, library or object";
            return Err(Error::NothingToJudge(why));
        }
    };
    let architecture = match file.cputype(endian) {
        macho::CPU_TYPE_ARM => Architecture::Arm,
        macho::CPU_TYPE_ARM64 => Architecture::Aarch64,
        macho::CPU_TYPE_ARM64_32 => Architecture::Aarch64_Ilp32,
        macho::CPU_TYPE_X86 => Architecture::I386,
        macho::CPU_TYPE_X86_64 => Architecture::X86_64,
        macho::CPU_TYPE_POWERPC => Architecture::PowerPc,
        macho::CPU_TYPE_POWERPC64 => Architecture::PowerPc64,
        _ => Architecture::Unknown,
    };
    let mut header = Header::new(Format::MachO, kind, architecture);
    let (mut loaded, mut code) = (Ranges::default(), Ranges::default());
    let mut room = NEEDED;
    let mut commands = file.load_commands(endian, bytes, 0).map_err(damaged)?;
    while let Some(command) = commands.next().map_err(damaged)? {
        budget.pay(command.cmdsize() as usize)?;
        if let Some((segment, sections)) = M::Segment::from_command(command).map_err(damaged)? {
            let data = segment.data(endian, bytes).map_err(|()| damaged("a segment is missing"))?;
            let (offset, size) = segment.file_range(endian);
            if kind == Kind::Object {
                // one segment with everything in it
                for section in segment.sections(endian, sections).map_err(damaged)? {
                    let range = section.file_range(endian);
                    if let Some((offset, size)) = range.filter(|_| {
                        section.segment_name() != b"__TEXT" || section.name() != b"__text"
                    }) {
                        loaded.push(offset, size)?;
                    }
                }
            } else if segment.name() != b"__LINKEDIT" && !data.is_empty() {
                loaded.push(offset, size)?;
                if segment.name() == b"__TEXT" {
                    code.push(offset, size)?;
                }
            }
        } else if let Some(table) = command.symtab().map_err(damaged)? {
            let symbols = table.symbols::<M, _>(endian, bytes).map_err(damaged)?;
            for symbol in symbols.iter().filter(|symbol| !symbol.is_stab()) {
                let name = symbol.name(endian, symbols.strings()).map_err(damaged)?;
                budget.pay(size_of::<M::Nlist>() + name.len())?;
                gathered.symbol(name, true, !symbol.is_undefined());
                if symbol.is_definition() && symbol.n_type() & macho::N_EXT != 0 {
                    gathered.exports.insert(name);
                }
            }
        } else if command.cmd() != macho::LC_ID_DYLIB {
            if let Some(dylib) = command.dylib().map_err(damaged)? {
                let name = command.string(endian, dylib.dylib.name).map_err(damaged)?;
                if let Some(left) = room.checked_sub(name.len() + 48) {
                    room = left;
                    header.needed.push(text(name));
                }
            }
        }
    }
    if kind == Kind::Object {
        gathered.exports = Names::new(EXPORTS);
    }
    loaded.each(bytes, |part| {
        gathered.evidence.scan(part);
        Ok(())
    })?;
    if header.architecture == Architecture::Aarch64 && gathered.evidence.jemalloc().is_some() {
        let mut sizes = BTreeSet::new();
        code.each(bytes, |part| {
            budget.pay(part.len())?;
            page_sizes(part, 29, &mut sizes);
            Ok(())
        })?;
        gathered.page_size = (sizes.len() == 1).then(|| sizes.first().copied()).flatten();
    }
    Ok(header)
}

fn read_pe<P: ImageNtHeaders>(
    bytes: &[u8],
    gathered: &mut Gathered,
    budget: &mut Budget,
) -> Result<Header, Error> {
    let file = PeFile::<P>::parse(bytes).map_err(damaged)?;
    let characteristics = file.nt_headers().file_header().characteristics.get(LittleEndian);
    let kind = match characteristics & pe::IMAGE_FILE_DLL {
        0 => Kind::Executable,
        _ => Kind::SharedLibrary,
    };
    let mut header = Header::new(Format::Pe, kind, file.architecture());
    let mut room = NEEDED;
    if let Some(imports) = file.import_table().map_err(damaged)? {
        let mut libraries = imports.descriptors().map_err(damaged)?;
        while let Some(library) = libraries.next().map_err(damaged)? {
            let name = imports.name(library.name.get(LittleEndian)).map_err(damaged)?;
            budget.pay(20 + name.len())?;
            if let Some(left) = room.checked_sub(name.len() + 48) {
                room = left;
                header.needed.push(text(name));
            }
            let table = match library.original_first_thunk.get(LittleEndian) {
                0 => library.first_thunk.get(LittleEndian),
                table => table,
            };
            let mut thunks = imports.thunks(table).map_err(damaged)?;
            while let Some(thunk) = thunks.next::<P>().map_err(damaged)? {
                budget.pay(8)?;
                if let Import::Name(_, name) = imports.import::<P>(thunk).map_err(damaged)? {
                    budget.pay(name.len())?;
                    gathered.symbol(name, false, false);
                    // what Rust's standard library and Microsoft's C library stand on
                    gathered.imports_malloc |= name == b"HeapAlloc";
                }
            }
        }
    }
    if let Some(exports) = file.export_table().map_err(damaged)? {
        for (pointer, _) in exports.name_iter() {
            let name = exports.name_from_pointer(pointer).map_err(damaged)?;
            budget.pay(8 + name.len())?;
            gathered.symbol(name, false, true);
            gathered.exports.insert(name);
        }
    }
    let mut loaded = Ranges::default();
    for section in file.section_table().iter() {
        let (offset, size) = section.pe_file_range();
        loaded.push(offset.into(), size.into())?;
    }
    loaded.each(bytes, |part| {
        gathered.evidence.scan(part);
        Ok(())
    })?;
    Ok(header)
}

fn read_coff<C: CoffHeader>(
    bytes: &[u8],
    gathered: &mut Gathered,
    budget: &mut Budget,
) -> Result<Header, Error> {
    // Two bytes make a COFF object, which a picture may begin with too.
    let file = CoffFile::<_, C>::parse(bytes).map_err(|_| Error::NotBinary)?;
    let header = Header::new(Format::Pe, Kind::Object, file.architecture());
    let underscored = header.architecture == Architecture::I386;
    let symbols = file.coff_symbol_table();
    for (_, symbol) in symbols.iter() {
        let name = symbol.name(symbols.strings()).map_err(|_| Error::NotBinary)?;
        budget.pay(18 + name.len())?;
        gathered.symbol(name, underscored, symbol.section_number() != pe::IMAGE_SYM_UNDEFINED);
    }
    let mut loaded = Ranges::default();
    for section in file.coff_section_table().iter() {
        let code = section.characteristics.get(LittleEndian) & pe::IMAGE_SCN_CNT_CODE != 0;
        if let Some((offset, size)) = section.coff_file_range().filter(|_| !code) {
            loaded.push(offset.into(), size.into())?;
        }
    }
    loaded
        .each(bytes, |part| {
            gathered.evidence.scan(part);
            Ok(())
        })
        .map_err(|_| Error::NotBinary)?;
    Ok(header)
}

fn read_wasm(bytes: &[u8], gathered: &mut Gathered, budget: &mut Budget) -> Result<Header, Error> {
    use wasmparser::{KnownCustom, Linking, Parser, Payload, SymbolFlags, SymbolInfo};
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(damaged)? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import.map_err(damaged)?;
                    budget.pay(import.name.len())?;
                    gathered.symbol(import.name.as_bytes(), false, false);
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export.map_err(damaged)?;
                    budget.pay(export.name.len())?;
                    gathered.symbol(export.name.as_bytes(), false, true);
                    gathered.exports.insert(export.name.as_bytes());
                }
            }
            Payload::CustomSection(custom) => {
                // What the linker is told, in an object.
                let KnownCustom::Linking(parts) = custom.as_known() else { continue };
                for part in parts {
                    let Linking::SymbolTable(symbols) = part.map_err(damaged)? else { continue };
                    for symbol in symbols {
                        let symbol = symbol.map_err(damaged)?;
                        let SymbolInfo::Func { flags, name: Some(name), .. } = symbol else {
                            continue;
                        };
                        budget.pay(name.len())?;
                        let defined = !flags.contains(SymbolFlags::UNDEFINED);
                        gathered.symbol(name.as_bytes(), false, defined);
                    }
                }
            }
            _ => {}
        }
    }
    // Data and names lie in it as they are.
    gathered.evidence.scan(bytes);
    gathered.evidence.scan_dlmalloc(bytes);
    Ok(Header::new(Format::Wasm, Kind::Module, Architecture::Wasm32))
}

/// What a file begins as.
#[derive(Clone, Copy, PartialEq)]
enum Begins {
    Archive,
    Universal32,
    Universal64,
    Wasm,
    Code(FileKind),
}

/// Whether a file that begins with these few thousand bytes is worth reading.
pub(crate) fn is_worth_reading(beginning: &[u8]) -> bool {
    // where its second header is, a PE file says only in its first
    beginning.starts_with(b"MZ") || begins(beginning).is_ok()
}

fn begins(bytes: &[u8]) -> Result<Begins, Error> {
    if bytes.starts_with(b"\0asm") && bytes.len() >= 8 {
        return Ok(Begins::Wasm);
    }
    match FileKind::parse(bytes) {
        Ok(FileKind::Archive) => Ok(Begins::Archive),
        // Java's classes begin as universal files do; their version stands where those have the
        // number of architectures, and is never as low.
        Ok(FileKind::MachOFat32) if bytes.get(4..8).is_some_and(|n| n < &[0, 0, 0, 40]) => {
            Ok(Begins::Universal32)
        }
        Ok(FileKind::MachOFat64) => Ok(Begins::Universal64),
        Ok(kind) if is_object(kind) => Ok(Begins::Code(kind)),
        _ => Err(Error::NotBinary),
    }
}

fn is_object(kind: FileKind) -> bool {
    matches!(
        kind,
        FileKind::Elf32
            | FileKind::Elf64
            | FileKind::MachO32
            | FileKind::MachO64
            | FileKind::Pe32
            | FileKind::Pe64
            | FileKind::Coff
            | FileKind::CoffBig
    )
}

fn damaged(error: impl std::fmt::Display) -> Error {
    Error::Damaged(format!("a damaged file: {}", crate::printable(&error.to_string())))
}
