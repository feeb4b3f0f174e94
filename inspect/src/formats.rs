//! Reads the formats. What a file says about itself is not believed: every look at it is paid for
//! from a [`Budget`], so that tables which overlap cannot multiply the work.

use std::collections::BTreeSet;

use object::read::archive::ArchiveFile;
use object::read::coff::{CoffFile, CoffHeader, ImageSymbol};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, Rela, SectionHeader, Sym};
use object::read::macho::{
    FatArch, MachHeader, MachOFatFile32, MachOFatFile64, Nlist, Section, Segment,
};
use object::read::pe::{ImageNtHeaders, ImageThunkData, PeFile};
use object::read::FileKind;
use object::{elf, macho, pe, Architecture, Endianness, LittleEndian as LE, Object, ReadRef, U32};

use crate::budget::{Budget, Source};
use crate::evidence::{names_jemalloc, Evidence, ENVIRONMENT};
use crate::{
    advice, note, Allocator, Carried, Decision, Error, Format, Jemalloc, Kind, Malloc, Name,
    Report, Sureness,
};

/// Names, as far as there is memory for them.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl Names {
    fn insert(&mut self, name: &[u8], budget: &Budget) {
        self.0.extend(budget.name(name));
    }
}

/// What is gathered over a file, or over all members of an archive.
#[derive(Default)]
struct Gathered {
    evidence: Evidence,
    jemalloc_symbols: Names,
    exports: Names,
    decisions: Vec<Decision>,
    /// What is wrong with a note of alloc-switch's.
    odd_note: Option<&'static str>,
    imports_malloc: bool,
    imports_aligned: bool,
    own_malloc: bool,
    /// Symbols with options for jemalloc, and the options.
    options: Vec<(String, Option<String>)>,
    page_size: Option<u64>,
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
    /// Takes notice of a symbol; of a Mach-O or 32-bit Windows one, without the underscore that
    /// they put before every C name.
    fn symbol(&mut self, full: &[u8], underscored: bool, defined: bool, budget: &Budget) {
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
            self.jemalloc_symbols.insert(full, budget);
        }
    }

    /// Looks for the messages of allocators, and for what alloc-switch decided.
    fn scan(
        &mut self,
        source: Source<'_>,
        loaded: Ranges,
        endian: Endianness,
    ) -> Result<(), Error> {
        for part in loaded.of(source) {
            let bytes = part?.look(Evidence::PASSES + 1)?;
            self.evidence.scan(bytes);
            let found = note::find(bytes, endian, source.budget, &mut self.decisions)?;
            self.odd_note = self.odd_note.or(found);
        }
        Ok(())
    }

    /// Looks in 64-bit Arm code for the page size that its jemalloc was built for.
    fn scan_code(&mut self, source: Source<'_>, code: Ranges, number: u32) -> Result<(), Error> {
        if self.evidence.jemalloc().is_some() {
            let mut sizes = BTreeSet::new();
            for part in code.of(source) {
                page_sizes(part?.look(1)?, number, &mut sizes, source.budget)?;
            }
            self.page_size = (sizes.len() == 1).then(|| sizes.first().copied()).flatten();
        }
        Ok(())
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
            jemalloc_symbols: self.jemalloc_symbols.0.into_iter().collect(),
            decisions: self.decisions,
            static_tls: false,
            tls_size: 0,
            refuses_dlopen: false,
            exports: self.exports.0.into_iter().collect(),
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
    refuses_dlopen: bool,
    needed: Vec<Name>,
}

impl Header {
    fn new(format: Format, kind: Kind, architecture: Architecture) -> Self {
        Self {
            format,
            kind,
            architecture,
            static_tls: false,
            tls_size: 0,
            refuses_dlopen: false,
            needed: Vec::new(),
        }
    }

    /// Takes notice of a library that the file asks for.
    fn needs(&mut self, name: &[u8], budget: &Budget) {
        if budget.keeps(name.len()) {
            self.needed.push(Name(name.to_vec()));
        }
    }
}

/// Finds the member of a thin archive with that name.
pub(crate) type Member<'a> = dyn FnMut(&[u8]) -> Result<Vec<u8>, Error> + 'a;

pub(crate) fn inspect_all(
    bytes: &[u8],
    budget: &Budget,
    elsewhere: Option<&mut Member<'_>>,
) -> Result<Vec<Report>, Error> {
    let source = Source::new(bytes, budget);
    let reports = match begins(source)? {
        Begins::Universal32 => MachOFatFile32::parse(source)
            .map_err(damaged)
            .and_then(|file| slices(source, file.arches())),
        Begins::Universal64 => MachOFatFile64::parse(source)
            .map_err(damaged)
            .and_then(|file| slices(source, file.arches())),
        Begins::Archive => archive(source, elsewhere).map(|report| vec![report]),
        Begins::Wasm | Begins::Code(_) => single(source).map(|report| vec![report]),
    };
    budget.check()?;
    reports
}

/// More parts macOS does not read.
const MOST_SLICES: usize = 204;

fn slices<A: FatArch>(source: Source<'_>, architectures: &[A]) -> Result<Vec<Report>, Error> {
    if architectures.is_empty() {
        return Err(Error::Damaged("a universal file with nothing in it".into()));
    }
    if architectures.len() > MOST_SLICES {
        return Err(Error::Damaged("a universal file with too many parts".into()));
    }
    let mut reports = Vec::new();
    let mut nothing = None;
    for slice in architectures {
        let slice = source.part(slice.offset().into(), slice.size().into());
        let slice = slice.ok_or_else(|| damaged("a part of a universal file is missing"))?;
        let report = match begins(slice) {
            Ok(Begins::Archive) => archive(slice, None),
            Ok(Begins::Code(FileKind::MachO32 | FileKind::MachO64)) => single(slice),
            _ => return Err(damaged("a part of a universal file is no Mach-O")),
        };
        match report {
            // Debug information beside a program does not hide it.
            Err(Error::NothingToJudge(what)) => nothing = Some(Error::NothingToJudge(what)),
            report => reports.push(report?),
        }
    }
    nothing.filter(|_| reports.is_empty()).map_or(Ok(reports), Err)
}

fn single(source: Source<'_>) -> Result<Report, Error> {
    let mut gathered = Gathered::default();
    let header = file(source, &mut gathered)?;
    Ok(conclude(header, gathered))
}

fn archive(source: Source<'_>, mut elsewhere: Option<&mut Member<'_>>) -> Result<Report, Error> {
    let archive = ArchiveFile::parse(source).map_err(damaged)?;
    let mut gathered = Gathered::default();
    let mut whole: Option<Header> = None;
    let mut bitcode = false;
    // For the name whose end is looked for in vain: after it nothing is read.
    source.look(1)?;
    for member in archive.members() {
        let member = member.map_err(damaged)?;
        source.budget.pay(member.name().len())?;
        let read;
        let member = if archive.is_thin() {
            let elsewhere = elsewhere.as_mut().ok_or_else(|| {
                Error::Damaged("a thin archive, whose members are files elsewhere".into())
            })?;
            read = elsewhere(member.name())?;
            source.budget.grow(read.len());
            Source::new(&read, source.budget)
        } else {
            let (offset, size) = member.file_range();
            source.part(offset, size).ok_or_else(|| damaged("a member is missing"))?
        };
        // Rust metadata and Windows import stubs are members too, and hold no code.
        bitcode |= member.starts_with(b"BC\xC0\xDE") || member.starts_with(b"\xDE\xC0\x17\x0B");
        if !matches!(begins(member), Ok(Begins::Code(_) | Begins::Wasm)) {
            continue;
        }
        match file(member, &mut gathered) {
            Err(Error::NotBinary | Error::NothingToJudge(_)) => {}
            part => {
                let part = part?;
                whole.get_or_insert(Header::new(part.format, Kind::Archive, part.architecture));
            }
        }
    }
    let header = whole.ok_or_else(|| match bitcode {
        true => Error::Damaged("an archive of LLVM bitcode, which is not read".into()),
        false => Error::NothingToJudge("an archive without any object file"),
    })?;
    gathered.exports = Names::default();
    Ok(conclude(header, gathered))
}

/// From what was gathered to what it means.
fn conclude(header: Header, mut gathered: Gathered) -> Report {
    let evidence = std::mem::take(&mut gathered.evidence);
    let options = std::mem::take(&mut gathered.options);
    let (page_size, odd_note) = (gathered.page_size, gathered.odd_note);
    let architecture = match header.architecture {
        Architecture::Unknown => "unknown".to_owned(),
        known => format!("{known:?}").to_lowercase(),
    };
    let mut report = gathered.report(evidence.rust, header.format, header.kind, architecture);
    report.static_tls = header.static_tls;
    report.tls_size = header.tls_size;
    report.refuses_dlopen = header.refuses_dlopen;
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
    report.advice.extend(odd_note.map(str::to_owned));
    report
}

fn file(source: Source<'_>, gathered: &mut Gathered) -> Result<Header, Error> {
    match begins(source)? {
        Begins::Wasm => read_wasm(source, gathered),
        Begins::Code(FileKind::Elf32) => {
            read_elf::<elf::FileHeader32<Endianness>>(source, gathered)
        }
        Begins::Code(FileKind::Elf64) => {
            read_elf::<elf::FileHeader64<Endianness>>(source, gathered)
        }
        Begins::Code(FileKind::MachO32) => {
            read_macho::<macho::MachHeader32<Endianness>>(source, gathered)
        }
        Begins::Code(FileKind::MachO64) => {
            read_macho::<macho::MachHeader64<Endianness>>(source, gathered)
        }
        Begins::Code(FileKind::Pe32) => read_pe::<pe::ImageNtHeaders32>(source, gathered),
        Begins::Code(FileKind::Pe64) => read_pe::<pe::ImageNtHeaders64>(source, gathered),
        Begins::Code(FileKind::CoffBig) => {
            read_coff::<pe::AnonObjectHeaderBigobj>(source, gathered)
        }
        Begins::Code(FileKind::Coff) => read_coff::<pe::ImageFileHeader>(source, gathered),
        _ => Err(Error::NotBinary),
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
        if self.0.len() > 1 << 18 {
            return Err(damaged("it has too many parts"));
        }
        Ok(())
    }

    fn of(mut self, source: Source<'_>) -> impl Iterator<Item = Result<Source<'_>, Error>> {
        self.0.sort_unstable();
        let mut done = 0;
        self.0.into_iter().filter_map(move |(start, end)| {
            let start = start.max(done);
            done = done.max(end);
            let missing = || damaged("a part of it is missing");
            (start < end).then(|| source.part(start, end - start).ok_or_else(missing))
        })
    }
}

fn read_elf<E: FileHeader<Endian = Endianness>>(
    source: Source<'_>,
    gathered: &mut Gathered,
) -> Result<Header, Error> {
    let budget = source.budget;
    let file = E::parse(source).map_err(damaged)?;
    let endian = file.endian().map_err(damaged)?;
    let segments = file.program_headers(endian, source).map_err(damaged)?;
    let sections = file.sections(endian, source).map_err(damaged)?;
    let machine = file.e_machine(endian);
    if is_another_to_linux(source, machine, file.is_class_64()) {
        return Err(damaged("Linux takes it for another program than its first bytes say"));
    }
    let mut header = Header::new(Format::Elf, Kind::Object, elf_architecture(machine, file));

    // Through the program headers, as the loader does: `strip` may have taken the section headers.
    let mut interpreter: Option<u64> = None;
    let mut dynamic: &[E::Dyn] = &[];
    let (mut loaded, mut code) = (Ranges::default(), Ranges::default());
    let (mut any_code, mut content) = (false, 0_u64);
    for segment in segments {
        match segment.p_type(endian) {
            elf::PT_TLS => header.tls_size = segment.p_memsz(endian).into(),
            elf::PT_INTERP => {
                interpreter.get_or_insert(segment.p_filesz(endian).into());
            }
            elf::PT_DYNAMIC => {
                content |= segment.p_filesz(endian).into();
                dynamic = segment.dynamic(endian, source).map_err(damaged)?.unwrap_or_default();
            }
            elf::PT_LOAD => {
                let (offset, size) = segment.file_range(endian);
                loaded.push(offset, size)?;
                if segment.p_flags(endian) & elf::PF_X != 0 {
                    any_code = true;
                    content |= size;
                    code.push(offset, size)?;
                }
            }
            _ => {}
        }
    }
    // Neither Linux runs it nor does a loader take it: code and dynamic section have no bytes, and
    // the loader's name has none, or the first instruction lies in no page that comes from the
    // file. (A segment of no bytes that begins within a page does come from there.)
    let page = if matches!(machine, elf::EM_X86_64 | elf::EM_386) { 4 << 10 } else { 64 << 10 };
    let entry: u64 = file.e_entry(endian).into();
    let starts_in = |segment: &E::ProgramHeader| {
        let (start, size) = (segment.p_vaddr(endian).into(), segment.p_filesz(endian).into());
        segment.p_type(endian) == elf::PT_LOAD
            && start - start % page <= entry
            && entry / page < start.saturating_add(size).div_ceil(page)
    };
    if any_code
        && content == 0
        && (interpreter.is_some_and(|size| size < 2) || !segments.iter().any(starts_in))
    {
        return Err(Error::NothingToJudge("debug information, kept apart from its program"));
    }
    let dynamic = dynamic.split(|entry| entry.tag(endian) == elf::DT_NULL).next();
    let dynamic = dynamic.unwrap_or_default();
    budget.pay(8 * size_of_val(dynamic))?;
    let entries = || dynamic.iter().map(|entry| (entry.tag(endian), entry.val(endian)));
    // Of several, the loader takes the last.
    let value = |wanted: i64| {
        entries().filter_map(|(tag, value)| (tag == wanted).then_some(value)).next_back()
    };
    let has_flag =
        |tag: i64, flag: u32| value(tag).is_some_and(|flags| flags & u64::from(flag) != 0);

    header.static_tls = has_flag(elf::DT_FLAGS, elf::DF_STATIC_TLS);
    header.refuses_dlopen = has_flag(elf::DT_FLAGS_1, elf::DF_1_NOOPEN);
    header.kind = match file.e_type(endian) {
        elf::ET_REL => Kind::Object,
        elf::ET_EXEC => Kind::Executable,
        elf::ET_DYN => {
            // libc.so has an interpreter too, but a name.
            let named = value(elf::DT_SONAME).is_some();
            if has_flag(elf::DT_FLAGS_1, elf::DF_1_PIE) || (interpreter.is_some() && !named) {
                Kind::Executable
            } else {
                Kind::SharedLibrary
            }
        }
        _ => {
            return Err(Error::NothingToJudge("an ELF file that is no program, library or object"))
        }
    };

    // From an address to the end of its segment, as a place in the file.
    let at_address = |address: u64| {
        budget.pay(size_of_val(segments)).ok()?;
        let mut loads = segments.iter().filter(|s| s.p_type(endian) == elf::PT_LOAD);
        loads.find_map(|segment| {
            let (offset, size) = segment.file_range(endian);
            let skipped = address.checked_sub(segment.p_vaddr(endian).into())?;
            let size = size.checked_sub(skipped).filter(|size| *size > 0)?;
            source.part(offset.checked_add(skipped)?, size)
        })
    };
    let strings = match (value(elf::DT_STRTAB), value(elf::DT_STRSZ)) {
        (Some(address), Some(size)) => at_address(address)
            .and_then(|rest| rest.part(0, size))
            .ok_or_else(|| damaged("the dynamic string table is not in it"))?,
        _ => Source::new(&[], budget),
    };
    for (_, offset) in entries().filter(|(tag, _)| *tag == elf::DT_NEEDED) {
        let name = strings.read_bytes_at_until(offset..strings.len() as u64, 0);
        let name = name.map_err(|()| damaged("the name of a needed library is not in it"))?;
        header.needs(name, budget);
    }

    let underscored = false;
    let mut options = Vec::new();
    for table in [elf::SHT_SYMTAB, elf::SHT_DYNSYM] {
        let symbols = sections.symbols(endian, source, table).map_err(damaged)?;
        for symbol in symbols.iter() {
            let name = symbol.name(endian, symbols.strings()).map_err(damaged)?;
            let defined = !symbol.is_undefined(endian);
            gathered.symbol(name, underscored, defined, budget);
            if !defined || header.kind == Kind::Object {
                continue;
            }
            if table == elf::SHT_DYNSYM && !symbol.is_local() {
                gathered.exports.insert(name, budget);
            }
            if name.ends_with(b"malloc_conf")
                && name.len() < 64
                && symbol.st_type() == elf::STT_OBJECT
                && options.len() < 16
            {
                options.push((name, symbol.st_value(endian).into()));
            }
        }
    }
    if sections.is_empty() {
        // Without section headers: the names alone, of what it imports and of what it exports.
        let mut names = strings.look(1)?.split(|byte| *byte == 0);
        gathered.imports_malloc |= names.any(|name| name == b"malloc");
    }
    // Most are in both tables.
    options.sort_unstable();
    options.dedup();
    // Archives may have many linked members.
    options.truncate(16_usize.saturating_sub(gathered.options.len()));
    for (name, address) in options {
        let pointer = relocated::<E>(&sections, endian, source, address)?.or_else(|| {
            let word = at_address(address)?.part(0, if file.is_class_64() { 8 } else { 4 })?;
            number(word.look(1).ok()?, endian)
        });
        let content = pointer.filter(|pointer| *pointer != 0).and_then(at_address);
        gathered.options.push((crate::text(name), content.and_then(options_text)));
    }

    // Rust's compiler signs, too, where even the messages of its library were left out.
    for section in sections.iter().filter(|s| s.sh_type(endian) == elf::SHT_PROGBITS) {
        if sections.section_name(endian, section) == Ok(b".comment") {
            let comment = section.data(endian, source).map_err(damaged)?;
            let signed = memchr::memmem::find(comment, b"rustc version").is_some();
            gathered.evidence.rust |= signed;
        }
    }

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
    gathered.scan(source, loaded, endian)?;
    if machine == elf::EM_AARCH64 {
        gathered.scan_code(source, code, 30)?;
    }
    Ok(header)
}

/// Linux goes by the machine: class and byte order are what the machine has, whatever the first
/// bytes say. Read here as they say, such a file would be another than the one that runs.
fn is_another_to_linux(source: Source<'_>, machine: u16, is_64: bool) -> bool {
    let swapped = machine > 0xff && machine & 0xff == 0;
    let small = matches!(
        machine,
        elf::EM_386 | 6 | elf::EM_ARM | elf::EM_PPC | elf::EM_SPARC | elf::EM_68K
    );
    // where a 64-bit header has the size of a program header
    let large = [[56, 0], [0, 56]].iter().any(|size| source.read_bytes_at(54, 2) == Ok(size));
    swapped || (is_64 && small) || (!is_64 && large)
}

/// Four or eight bytes.
pub(crate) fn number(bytes: &[u8], endian: Endianness) -> Option<u64> {
    Some(match (endian, bytes.len()) {
        (Endianness::Little, 4) => u32::from_le_bytes(bytes.try_into().ok()?).into(),
        (Endianness::Big, 4) => u32::from_be_bytes(bytes.try_into().ok()?).into(),
        (Endianness::Little, _) => u64::from_le_bytes(bytes.try_into().ok()?),
        (Endianness::Big, _) => u64::from_be_bytes(bytes.try_into().ok()?),
    })
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
fn relocated<'a, E: FileHeader<Endian = Endianness>>(
    sections: &object::read::elf::SectionTable<'a, E, Source<'a>>,
    endian: Endianness,
    source: Source<'a>,
    address: u64,
) -> Result<Option<u64>, Error> {
    source.budget.pay(8 * sections.len())?;
    // One table is for all of a program's own addresses; a second is for its calls.
    let tables = sections.iter().filter(|section| section.sh_type(endian) == elf::SHT_RELA);
    for table in tables.take(4) {
        let Some((relocations, _)) = table.rela(endian, source).map_err(damaged)? else { continue };
        for relocation in relocations {
            let at: u64 = relocation.r_offset(endian).into();
            if at == address && relocation.r_sym(endian, false) == 0 {
                return Ok(u64::try_from(relocation.r_addend(endian).into()).ok());
            }
        }
    }
    Ok(None)
}

/// The text of options: printable, and of a length that somebody may have typed.
fn options_text(source: Source<'_>) -> Option<String> {
    let text = source.read_bytes_at_until(0..source.len().min(4096) as u64, 0).ok()?;
    let printable = text.iter().all(|byte| (b' '..=b'~').contains(byte));
    (!text.is_empty() && printable).then(|| String::from_utf8_lossy(text).into_owned())
}

/// Looks in 64-bit Arm code for what jemalloc does first: it asks `sysconf` for the page size
/// (whose number is given) and compares the answer with the size that it was built for.
fn page_sizes(
    code: &[u8],
    number: u32,
    sizes: &mut BTreeSet<u64>,
    budget: &Budget,
) -> Result<(), Error> {
    let words: &[[u8; 4]] = code.as_chunks().0;
    let word = |at: usize| words.get(at).map(|bytes| u32::from_le_bytes(*bytes));
    let ask = 0x5280_0000 | number << 5; // mov w0, number
    for at in 0..words.len() {
        if word(at) != Some(ask) {
            continue;
        }
        budget.pay(64)?;
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
    Ok(())
}

fn read_macho<M: MachHeader<Endian = Endianness>>(
    source: Source<'_>,
    gathered: &mut Gathered,
) -> Result<Header, Error> {
    let budget = source.budget;
    let file = M::parse(source, 0).map_err(damaged)?;
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
    let mut commands = file.load_commands(endian, source, 0).map_err(damaged)?;
    while let Some(command) = commands.next().map_err(damaged)? {
        if let Some((segment, sections)) = M::Segment::from_command(command).map_err(damaged)? {
            let (offset, size) = segment.file_range(endian);
            source.part(offset, size).ok_or_else(|| damaged("a segment is missing"))?;
            if kind == Kind::Object {
                // one segment with everything in it
                for section in segment.sections(endian, sections).map_err(damaged)? {
                    let passed = section.segment_name() == b"__DWARF"
                        || (section.segment_name() == b"__TEXT" && section.name() == b"__text");
                    if let Some((offset, size)) = section.file_range(endian).filter(|_| !passed) {
                        loaded.push(offset, size)?;
                    }
                }
            } else if segment.name() != b"__LINKEDIT" && size > 0 {
                loaded.push(offset, size)?;
                if segment.name() == b"__TEXT" {
                    code.push(offset, size)?;
                }
            }
        } else if let Some(table) = command.symtab().map_err(damaged)? {
            let symbols = table.symbols::<M, _>(endian, source).map_err(damaged)?;
            for symbol in symbols.iter().filter(|symbol| !symbol.is_stab()) {
                let name = symbol.name(endian, symbols.strings()).map_err(damaged)?;
                gathered.symbol(name, true, !symbol.is_undefined(), budget);
                let exported = symbol.is_definition() && symbol.n_type() & macho::N_EXT != 0;
                if exported && kind != Kind::Object {
                    gathered.exports.insert(name, budget);
                }
            }
        } else if command.cmd() != macho::LC_ID_DYLIB {
            if let Some(dylib) = command.dylib().map_err(damaged)? {
                let name = command.string(endian, dylib.dylib.name).map_err(damaged)?;
                header.needs(name, budget);
            }
        }
    }
    gathered.scan(source, loaded, endian)?;
    if header.architecture == Architecture::Aarch64 {
        gathered.scan_code(source, code, 29)?;
    }
    Ok(header)
}

fn read_pe<P: ImageNtHeaders>(
    source: Source<'_>,
    gathered: &mut Gathered,
) -> Result<Header, Error> {
    let budget = source.budget;
    let file = PeFile::<P, _>::parse(source).map_err(damaged)?;
    let characteristics = file.nt_headers().file_header().characteristics.get(LE);
    let kind = match characteristics & pe::IMAGE_FILE_DLL {
        0 => Kind::Executable,
        _ => Kind::SharedLibrary,
    };
    let mut header = Header::new(Format::Pe, kind, file.architecture());
    // From an address to the end of its section, as a place in the file.
    let at_address = |address: u32| {
        budget.pay(file.section_table().len())?;
        let place = file.section_table().pe_file_range_at(address);
        let place = place.and_then(|(offset, size)| source.part(offset.into(), size.into()));
        place.ok_or_else(|| damaged("an address in it is in no section"))
    };
    let name_at = |address: u32, skipped: u64| {
        let place = at_address(address)?;
        let name = place.read_bytes_at_until(skipped..place.len() as u64, 0);
        name.map_err(|()| damaged("a name in it has no end"))
    };
    let missing = |()| damaged("a table in it has no end");
    let directory = |index| file.data_directory(index).map(|entry| entry.virtual_address.get(LE));
    if let Some(address) = directory(pe::IMAGE_DIRECTORY_ENTRY_IMPORT) {
        let (libraries, mut at) = (at_address(address)?, 0);
        loop {
            let library = libraries.read::<pe::ImageImportDescriptor>(&mut at).map_err(missing)?;
            if library.is_null() {
                break;
            }
            header.needs(name_at(library.name.get(LE), 0)?, budget);
            let table = match library.original_first_thunk.get(LE) {
                0 => library.first_thunk.get(LE),
                table => table,
            };
            let (thunks, mut at) = (at_address(table)?, 0);
            loop {
                let thunk = *thunks.read::<P::ImageThunkData>(&mut at).map_err(missing)?;
                if thunk.raw() == 0 {
                    break;
                }
                if !thunk.is_ordinal() {
                    // Before it stands a number.
                    let name = name_at(thunk.address(), 2)?;
                    gathered.symbol(name, false, false, budget);
                    // what Rust's standard library and Microsoft's C library stand on
                    gathered.imports_malloc |= name == b"HeapAlloc";
                }
            }
        }
    }
    if let Some(address) = directory(pe::IMAGE_DIRECTORY_ENTRY_EXPORT) {
        let exports = at_address(address)?.read_at::<pe::ImageExportDirectory>(0);
        let exports = exports.map_err(missing)?;
        let count = exports.number_of_names.get(LE) as usize;
        if count > 0 {
            let names = at_address(exports.address_of_names.get(LE))?;
            for name in names.read_slice_at::<U32<LE>>(0, count).map_err(missing)? {
                let name = name_at(name.get(LE), 0)?;
                gathered.symbol(name, false, true, budget);
                gathered.exports.insert(name, budget);
            }
        }
    }
    let mut loaded = Ranges::default();
    for section in file.section_table().iter() {
        let (offset, size) = section.pe_file_range();
        loaded.push(offset.into(), size.into())?;
    }
    gathered.scan(source, loaded, Endianness::Little)?;
    Ok(header)
}

fn read_coff<C: CoffHeader>(source: Source<'_>, gathered: &mut Gathered) -> Result<Header, Error> {
    // Two bytes make a COFF object, which a picture may begin with too.
    let file = CoffFile::<_, C>::parse(source).map_err(|_| Error::NotBinary)?;
    let header = Header::new(Format::Pe, Kind::Object, file.architecture());
    let underscored = header.architecture == Architecture::I386;
    let symbols = file.coff_symbol_table();
    for (_, symbol) in symbols.iter() {
        let name = symbol.name(symbols.strings()).map_err(|_| Error::NotBinary)?;
        let defined = symbol.section_number() != pe::IMAGE_SYM_UNDEFINED;
        gathered.symbol(name, underscored, defined, source.budget);
    }
    let mut loaded = Ranges::default();
    for section in file.coff_section_table().iter() {
        // code, and debug information
        let passed = pe::IMAGE_SCN_CNT_CODE | pe::IMAGE_SCN_MEM_DISCARDABLE;
        let passed = section.characteristics.get(LE) & passed != 0;
        if let Some((offset, size)) = section.coff_file_range().filter(|_| !passed) {
            loaded.push(offset.into(), size.into())?;
        }
    }
    gathered.scan(source, loaded, Endianness::Little).map_err(|_| Error::NotBinary)?;
    Ok(header)
}

fn read_wasm(source: Source<'_>, gathered: &mut Gathered) -> Result<Header, Error> {
    use wasmparser::{KnownCustom, Linking, Parser, Payload, SymbolFlags, SymbolInfo};
    let budget = source.budget;
    // once for its parts and once for what is in them
    let bytes = source.look(2)?;
    let mut loaded = Ranges::default();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(damaged)? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let name = import.map_err(damaged)?.name;
                    gathered.symbol(name.as_bytes(), false, false, budget);
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let name = export.map_err(damaged)?.name;
                    gathered.symbol(name.as_bytes(), false, true, budget);
                    gathered.exports.insert(name.as_bytes(), budget);
                }
            }
            Payload::DataSection(data) => {
                let range = data.range();
                loaded.push(range.start, range.end - range.start)?;
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
                        let defined = !flags.contains(SymbolFlags::UNDEFINED);
                        gathered.symbol(name.as_bytes(), false, defined, budget);
                    }
                }
            }
            _ => {}
        }
    }
    gathered.scan(source, loaded, Endianness::Little)?;
    // Its names lie elsewhere than the data.
    gathered.evidence.scan_dlmalloc(source.look(Evidence::DLMALLOC_PASSES)?);
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
    // Where its second header is, a PE file says only in its first, and what Java's classes begin
    // with is told from the parts of a universal file.
    beginning.starts_with(b"MZ")
        || beginning.starts_with(b"\xca\xfe\xba\xbe")
        || !matches!(
            begins(Source::new(beginning, &Budget::of(beginning.len()))),
            Err(Error::NotBinary)
        )
}

fn begins(source: Source<'_>) -> Result<Begins, Error> {
    if source.starts_with(b"\0asm") && source.len() >= 8 {
        return Ok(Begins::Wasm);
    }
    match FileKind::parse(source) {
        Ok(FileKind::Archive) => Ok(Begins::Archive),
        Ok(FileKind::MachOFat32) if is_universal(source) => Ok(Begins::Universal32),
        Ok(FileKind::MachOFat64) => Ok(Begins::Universal64),
        Ok(kind) if is_object(kind) => Ok(Begins::Code(kind)),
        // Linux does not ask for the class; the shortest program that it runs has 45 bytes.
        Err(_) if source.starts_with(b"\x7fELF") && source.len() >= 45 => {
            Err(damaged("an ELF file of no class"))
        }
        _ => Err(Error::NotBinary),
    }
}

/// Java's classes begin as universal files do. Their version, at least 45, stands where those have
/// the number of parts, and no part of theirs is a Mach-O file.
fn is_universal(source: Source<'_>) -> bool {
    let count = source.read_at::<U32<object::BigEndian>>(4);
    let count = count.map_or(0, |count| count.get(object::BigEndian));
    let is_program = |slice: &macho::FatArch32| {
        let kind = source.part(slice.offset().into(), 16).map(FileKind::parse);
        matches!(kind, Some(Ok(FileKind::MachO32 | FileKind::MachO64)))
    };
    count < 45
        || (count as usize <= MOST_SLICES
            && MachOFatFile32::parse(source).is_ok_and(|f| f.arches().iter().any(is_program)))
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
