//! Reads a finished file (program, shared library, object, archive; ELF, Mach-O, PE) and says which allocator it carries.
//!
//! `examples/inspect.rs`, `examples/artifacts.rs` and the tests include this file with `#[path]`; it prints nothing and
//! exits nowhere.
//!
//! Stripping removes every name, so the evidence is what jemalloc cannot work without: the messages that it prints, and
//! the name of the environment variable that it reads. They count only as whole C strings, each with its newline and
//! final NUL, and only several together, so that a program that merely speaks of jemalloc (this one) is no carrier.

#![allow(dead_code)] // each includer uses its own part

use std::collections::BTreeSet;
use std::fmt;

use object::read::archive::ArchiveFile;
use object::read::elf::{Dyn, ElfFile, FileHeader, ProgramHeader};
use object::read::macho::{FatArch, MachHeader, MachOFatFile32, MachOFatFile64, MachOFile};
use object::read::pe::{ImageNtHeaders, PeFile};
use object::{
    elf, macho, pe, FileKind, Object, ObjectSection, ObjectSegment, ObjectSymbol, SectionKind,
};

/// Messages of jemalloc 4 and 5 from four of its source files, without the newline and the NUL that each ends in. No
/// configure option or target leaves one out.
pub const MESSAGES: [&str; 6] = [
    "<jemalloc>: Error in atexit()",                // jemalloc.c
    "<jemalloc>: Reducing narenas to limit (%d)",   // jemalloc.c
    "<jemalloc>: Unsupported system page size",     // pages.c
    "<jemalloc>: Failure in xmallctl(\"%s\", ...)", // ctl.h
    "___ Begin jemalloc statistics ___",            // stats.c
    "--- End jemalloc statistics ---",              // stats.c
];

/// How many of [`MESSAGES`] a carrier has at the least: other versions may have reworded one or two.
pub const ENOUGH: usize = 4;

/// The environment variable that jemalloc reads, after its prefix: `MALLOC_CONF`, `_RJEM_MALLOC_CONF`.
pub const ENVIRONMENT: &str = "MALLOC_CONF";

/// jemalloc's functions and variables beyond the standard ones, by which a symbol without a prefix is known.
const INTERFACE: [&str; 13] = [
    "dallocx",
    "jemalloc_constructor",
    "mallctl",
    "mallctlbymib",
    "mallctlnametomib",
    "malloc_conf",
    "malloc_message",
    "malloc_stats_print",
    "mallocx",
    "nallocx",
    "rallocx",
    "sdallocx",
    "xallocx",
];

/// The file format; an archive has that of its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Elf,
    MachO,
    /// PE, and COFF for objects.
    Pe,
}

/// What the linker made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Executable,
    SharedLibrary,
    Object,
    Archive,
}

/// The jemalloc inside a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jemalloc {
    /// Such as `5.3.1`. `None` for one that was built without a version.
    pub version: Option<String>,
    /// Whether its symbols and its environment variable have a prefix (`_rjem_malloc`, `_RJEM_MALLOC_CONF`), so that C
    /// code beside it keeps libc's `malloc`.
    pub prefixed: bool,
}

/// What [`inspect`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub format: Format,
    pub kind: Kind,
    /// Such as `x86_64`.
    pub architecture: String,
    /// The jemalloc that is linked into the file.
    pub jemalloc: Option<Jemalloc>,
    /// The symbols, defined or not, that name jemalloc or its Rust bindings. Empty for a stripped program.
    pub jemalloc_symbols: Vec<String>,
    /// ELF: the file wants room in the static TLS block (`DF_STATIC_TLS`), which `dlopen` in general does not have.
    pub static_tls: bool,
    /// ELF: size of the thread-local storage, in bytes.
    pub tls_size: u64,
    /// What a shared library or program offers to others, by name. Empty for objects and archives.
    pub exports: Vec<String>,
    /// The shared libraries that it asks for, by name.
    pub needed: Vec<String>,
}

impl Report {
    /// The shared jemalloc that the loader will bring, such as `libjemalloc.so.2`.
    pub fn shared_jemalloc(&self) -> Option<&str> {
        self.needed.iter().map(String::as_str).find(|name| {
            let file = name.rsplit('/').next().unwrap_or(name);
            file.starts_with("libjemalloc.") || file.starts_with("jemalloc.")
        })
    }

    /// Whether the memory comes from jemalloc, be it inside or shared.
    pub fn has_jemalloc(&self) -> bool {
        self.jemalloc.is_some() || self.shared_jemalloc().is_some()
    }

    /// Whether a running program can load it. `None` where the question makes no sense.
    pub fn can_be_dlopened(&self) -> Option<bool> {
        (self.kind == Kind::SharedLibrary).then_some(!self.static_tls)
    }
}

/// Such as `ELF executable, jemalloc 5.3.1 prefixed` or `ELF shared library, system, can be dlopened`.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.format {
            Format::Elf => "ELF ",
            Format::MachO => "Mach-O ",
            Format::Pe => "PE ",
        })?;
        f.write_str(match self.kind {
            Kind::Executable => "executable, ",
            Kind::SharedLibrary => "shared library, ",
            Kind::Object => "object, ",
            Kind::Archive => "archive, ",
        })?;
        match (&self.jemalloc, self.shared_jemalloc()) {
            (Some(jemalloc), _) => {
                let version = jemalloc.version.as_deref().unwrap_or("of unknown version");
                write!(
                    f,
                    "jemalloc {version} {}",
                    if jemalloc.prefixed { "prefixed" } else { "unprefixed" }
                )?;
            }
            (None, Some(library)) => write!(f, "jemalloc from {library}")?,
            (None, None) => f.write_str("system")?,
        }
        match self.can_be_dlopened() {
            Some(true) => f.write_str(", can be dlopened"),
            Some(false) => write!(
                f,
                ", cannot in general be dlopened ({:#x} bytes of static TLS)",
                self.tls_size
            ),
            None => Ok(()),
        }
    }
}

/// Inspects a file with code for one architecture.
///
/// # Errors
///
/// One sentence: the bytes are no such file, or damaged, or a universal file that needs [`inspect_all`].
pub fn inspect(bytes: &[u8]) -> Result<Report, String> {
    let mut reports = inspect_all(bytes)?;
    match (reports.pop(), reports.len()) {
        (Some(report), 0) => Ok(report),
        (_, others) => Err(format!("a universal file with code for {} architectures", others + 1)),
    }
}

/// Inspects a file: one report, or one for each architecture of a universal (fat) Mach-O file.
///
/// # Errors
///
/// One sentence: the bytes are no such file, or damaged.
pub fn inspect_all(bytes: &[u8]) -> Result<Vec<Report>, String> {
    match file_kind(bytes)? {
        FileKind::MachOFat32 => {
            slices(bytes, MachOFatFile32::parse(bytes).map_err(damaged)?.arches())
        }
        FileKind::MachOFat64 => {
            slices(bytes, MachOFatFile64::parse(bytes).map_err(damaged)?.arches())
        }
        _ => Ok(vec![single(bytes)?]),
    }
}

fn slices<A: FatArch>(bytes: &[u8], architectures: &[A]) -> Result<Vec<Report>, String> {
    if architectures.is_empty() {
        return Err("a universal file with nothing in it".into());
    }
    architectures.iter().map(|slice| single(slice.data(bytes).map_err(damaged)?)).collect()
}

fn single(bytes: &[u8]) -> Result<Report, String> {
    let mut found = Found::default();
    let mut report = match file_kind(bytes)? {
        FileKind::Archive => archive(bytes, &mut found)?,
        _ => file(bytes, &mut found)?,
    };
    report.jemalloc = found.jemalloc();
    Ok(report)
}

fn archive(bytes: &[u8], found: &mut Found) -> Result<Report, String> {
    let archive = ArchiveFile::parse(bytes).map_err(damaged)?;
    if archive.is_thin() {
        return Err("a thin archive, whose members are files elsewhere".into());
    }
    let mut whole: Option<Report> = None;
    for member in archive.members() {
        let data = member.and_then(|member| member.data(bytes)).map_err(damaged)?;
        // Rust metadata and Windows import stubs are members too, and hold no code.
        if !matches!(FileKind::parse(data), Ok(kind) if is_object(kind)) {
            continue;
        }
        let part = file(data, found)?;
        match &mut whole {
            Some(whole) => whole.jemalloc_symbols.extend(part.jemalloc_symbols),
            None => whole = Some(Report { kind: Kind::Archive, exports: Vec::new(), ..part }),
        }
    }
    let mut whole = whole.ok_or("an archive without any object file")?;
    whole.jemalloc_symbols.sort();
    whole.jemalloc_symbols.dedup();
    Ok(whole)
}

fn file(bytes: &[u8], found: &mut Found) -> Result<Report, String> {
    let file = match object::File::parse(bytes) {
        Ok(file) => file,
        Err(error) => return Err(damaged(error)),
    };
    let mut report = Report {
        format: Format::Elf,
        kind: Kind::Object,
        architecture: format!("{:?}", file.architecture()).to_lowercase(),
        jemalloc: None,
        jemalloc_symbols: jemalloc_symbols(&file)?,
        static_tls: false,
        tls_size: 0,
        exports: Vec::new(),
        needed: Vec::new(),
    };
    match &file {
        object::File::Elf32(file) => read_elf(file, &mut report)?,
        object::File::Elf64(file) => read_elf(file, &mut report)?,
        object::File::MachO32(file) => read_macho(file, &mut report)?,
        object::File::MachO64(file) => read_macho(file, &mut report)?,
        object::File::Pe32(file) => read_pe(file, &mut report)?,
        object::File::Pe64(file) => read_pe(file, &mut report)?,
        _ => report.format = Format::Pe, // a COFF object
    }
    if report.kind != Kind::Object {
        for export in file.exports().map_err(damaged)? {
            report.exports.push(String::from_utf8_lossy(export.name()).into_owned());
        }
        report.exports.sort();
    }
    // What is loaded: the segments, which even a file without section headers has. ELF objects have sections only.
    let mut has_segments = false;
    for segment in file.segments() {
        has_segments = true;
        found.scan(segment.data().map_err(damaged)?);
    }
    if !has_segments {
        for section in file.sections() {
            if matches!(
                section.kind(),
                SectionKind::ReadOnlyData | SectionKind::ReadOnlyString | SectionKind::Data
            ) {
                found.scan(section.data().map_err(damaged)?);
            }
        }
    }
    Ok(report)
}

fn read_elf<E: FileHeader>(file: &ElfFile<'_, E>, report: &mut Report) -> Result<(), String> {
    let (endian, data) = (file.endian(), file.data());
    report.format = Format::Elf;
    // Through the program headers, as the loader does: `strip` may have taken the section headers.
    let mut interpreter = false;
    let mut dynamic: &[E::Dyn] = &[];
    for segment in file.elf_program_headers() {
        match segment.p_type(endian) {
            elf::PT_TLS => report.tls_size = segment.p_memsz(endian).into(),
            elf::PT_INTERP => interpreter = true,
            elf::PT_DYNAMIC => {
                dynamic = segment.dynamic(endian, data).map_err(damaged)?.unwrap_or_default();
            }
            _ => {}
        }
    }
    let entries = || {
        dynamic
            .iter()
            .map(|e| (e.tag(endian), e.val(endian)))
            .take_while(|(tag, _)| *tag != elf::DT_NULL)
    };
    let value = |wanted: i64| entries().find_map(|(tag, value)| (tag == wanted).then_some(value));
    let has_flag =
        |tag: i64, flag: u32| value(tag).is_some_and(|flags| flags & u64::from(flag) != 0);

    report.static_tls = has_flag(elf::DT_FLAGS, elf::DF_STATIC_TLS);
    report.kind = match file.elf_header().e_type(endian) {
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
        _ => return Err("an ELF file that is no program, library or object".into()),
    };

    let strings = match (value(elf::DT_STRTAB), value(elf::DT_STRSZ)) {
        (Some(address), Some(size)) => file
            .elf_program_headers()
            .iter()
            .filter(|segment| segment.p_type(endian) == elf::PT_LOAD)
            .find_map(|segment| segment.data_range(endian, data, address, size).ok().flatten())
            .ok_or("a damaged file: the dynamic string table is not in it")?,
        _ => &[],
    };
    for (tag, offset) in entries() {
        if tag == elf::DT_NEEDED {
            let name = usize::try_from(offset).ok().and_then(|start| strings.get(start..));
            let name = name.and_then(|name| name.split(|byte| *byte == 0).next());
            let name = name.ok_or("a damaged file: the name of a needed library is not in it")?;
            report.needed.push(String::from_utf8_lossy(name).into_owned());
        }
    }
    Ok(())
}

fn read_macho<M: MachHeader>(file: &MachOFile<'_, M>, report: &mut Report) -> Result<(), String> {
    let endian = file.endian();
    report.format = Format::MachO;
    report.kind = match file.macho_header().filetype(endian) {
        macho::MH_OBJECT => Kind::Object,
        macho::MH_EXECUTE => Kind::Executable,
        macho::MH_DYLIB | macho::MH_BUNDLE => Kind::SharedLibrary,
        _ => return Err("a Mach-O file that is no program, library or object".into()),
    };
    let mut commands = file.macho_load_commands().map_err(damaged)?;
    while let Some(command) = commands.next().map_err(damaged)? {
        if command.cmd() == macho::LC_ID_DYLIB {
            continue; // its own name
        }
        if let Some(dylib) = command.dylib().map_err(damaged)? {
            let name = command.string(endian, dylib.dylib.name).map_err(damaged)?;
            report.needed.push(String::from_utf8_lossy(name).into_owned());
        }
    }
    Ok(())
}

fn read_pe<P: ImageNtHeaders>(file: &PeFile<'_, P>, report: &mut Report) -> Result<(), String> {
    report.format = Format::Pe;
    let characteristics = file.nt_headers().file_header().characteristics.get(object::LittleEndian);
    report.kind = match characteristics & pe::IMAGE_FILE_DLL {
        0 => Kind::Executable,
        _ => Kind::SharedLibrary,
    };
    if let Some(imports) = file.import_table().map_err(damaged)? {
        let mut libraries = imports.descriptors().map_err(damaged)?;
        while let Some(library) = libraries.next().map_err(damaged)? {
            let name = imports.name(library.name.get(object::LittleEndian)).map_err(damaged)?;
            report.needed.push(String::from_utf8_lossy(name).into_owned());
        }
    }
    Ok(())
}

fn jemalloc_symbols(file: &object::File<'_>) -> Result<Vec<String>, String> {
    let mut names = BTreeSet::new();
    for symbol in file.symbols().chain(file.dynamic_symbols()) {
        let name = symbol.name_bytes().map_err(damaged)?;
        let name = String::from_utf8_lossy(name);
        // Mach-O and 32-bit Windows put an underscore before every C name.
        let bare = name.strip_prefix('_').unwrap_or(&name);
        let is_jemalloc = |name: &str| {
            name.starts_with("_rjem_") || name.starts_with("je_") || INTERFACE.contains(&name)
        };
        if is_jemalloc(&name) || is_jemalloc(bare) || name.contains("tikv_jemalloc") {
            names.insert(name.into_owned());
        }
    }
    Ok(names.into_iter().collect())
}

/// The evidence, gathered over all parts of a file.
#[derive(Default)]
struct Found {
    messages: [bool; MESSAGES.len()],
    environment: bool,
    prefix: bool,
    versions: BTreeSet<String>,
}

impl Found {
    /// Looks at each C string in `data`. A linker may have let a string share the tail of another, or put it behind a
    /// Rust string, which has no NUL: only the end of each counts.
    fn scan(&mut self, data: &[u8]) {
        let end = data.iter().rposition(|byte| *byte == 0).unwrap_or(0);
        for string in data[..end].split(|byte| *byte == 0) {
            match string.split_last() {
                Some((b'\n', line)) => {
                    for (found, message) in self.messages.iter_mut().zip(MESSAGES) {
                        *found |= line.ends_with(message.as_bytes());
                    }
                }
                Some((b'F', _)) => {
                    if let Some(before) = string.strip_suffix(ENVIRONMENT.as_bytes()) {
                        self.environment = true;
                        self.prefix |= before.ends_with(b"_");
                    }
                }
                Some((last, _)) if last.is_ascii_hexdigit() => {
                    self.versions.extend(version(string))
                }
                _ => {}
            }
        }
    }

    fn jemalloc(mut self) -> Option<Jemalloc> {
        let messages = self.messages.iter().filter(|found| **found).count();
        (messages >= ENOUGH && self.environment).then(|| Jemalloc {
            // Two candidates: one is another program's, and nothing tells which.
            version: if self.versions.len() == 1 { self.versions.pop_first() } else { None },
            prefixed: self.prefix,
        })
    }
}

/// Takes `5.3.1` out of a string that ends in `5.3.1-0-g` and forty hexadecimal digits: `git describe --long --abbrev=40`,
/// from which jemalloc's `configure` makes its version, and which hardly anybody else asks for.
fn version(string: &[u8]) -> Option<String> {
    let (rest, commit) = string.split_at(string.len().checked_sub(40)?);
    let rest = rest.strip_suffix(b"-g")?;
    if !commit.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let digits = rest.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = rest[..rest.len() - digits].strip_suffix(b"-")?;
    let start = rest
        .iter()
        .rposition(|byte| !byte.is_ascii_digit() && *byte != b'.')
        .map_or(0, |last| last + 1);
    let number = std::str::from_utf8(&rest[start..]).ok()?;
    let parts = number.split('.').filter(|part| !part.is_empty()).count();
    (digits > 0 && parts == 3 && number.split('.').count() == 3).then(|| number.to_owned())
}

fn file_kind(bytes: &[u8]) -> Result<FileKind, String> {
    match FileKind::parse(bytes) {
        Ok(kind)
            if is_object(kind)
                || matches!(
                    kind,
                    FileKind::Archive | FileKind::MachOFat32 | FileKind::MachOFat64
                ) =>
        {
            Ok(kind)
        }
        _ => Err("not a program, library, object or archive in ELF, Mach-O or PE".into()),
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

fn damaged(error: object::Error) -> String {
    format!("a damaged file: {error}")
}
