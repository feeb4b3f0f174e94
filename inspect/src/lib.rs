//! Reads a finished file (program, shared library, object, archive; ELF, Mach-O, PE, WebAssembly)
//! and says which memory allocator it carries. The program `alloc-inspect` prints what this finds.
//!
//! ```
//! # fn main() -> Result<(), alloc_inspect::Error> {
//! # let path = std::env::current_exe().unwrap();
//! for report in alloc_inspect::inspect_path(&path)? {
//!     println!("{report}"); // such as: ELF executable, jemalloc 5.3.1 prefixed
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The reader trusts nothing: damage is an error, and work and memory are bounded by the file's
//! size.

use std::fmt;

use serde::Serialize;

mod advice;
mod budget;
mod evidence;
mod file;
mod formats;
mod note;

pub use evidence::{ENOUGH, ENVIRONMENT, MESSAGES};
pub use file::{inspect_path, LARGEST};

/// The file format; an archive has that of its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum Format {
    /// Of Linux and most Unixes.
    #[serde(rename = "ELF")]
    Elf,
    /// Of Apple's systems.
    #[serde(rename = "Mach-O")]
    MachO,
    /// Of Windows; COFF for objects.
    #[serde(rename = "PE")]
    Pe,
    /// A module of WebAssembly.
    Wasm,
}

/// What the linker made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kind {
    /// A program.
    Executable,
    /// A library that is loaded when a program starts, or later.
    SharedLibrary,
    /// What a compiler made of one source file.
    Object,
    /// Objects in one file: a static library, an `rlib`.
    Archive,
    /// WebAssembly.
    Module,
}

/// The allocators that are recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Allocator {
    /// <https://jemalloc.net>
    Jemalloc,
    /// <https://microsoft.github.io/mimalloc>
    Mimalloc,
    /// <https://github.com/microsoft/snmalloc>
    Snmalloc,
    /// Of gperftools, or of Google itself.
    Tcmalloc,
    /// <https://github.com/mjansson/rpmalloc>: by its symbols only.
    Rpmalloc,
    /// <https://github.com/GrapheneOS/hardened_malloc>
    HardenedMalloc,
    /// Of LLVM and Android.
    Scudo,
    /// musl's, a C library's own.
    Mallocng,
    /// glibc's, a C library's own.
    Glibc,
    /// WebAssembly: Rust's standard library brings it.
    Dlmalloc,
}

impl Allocator {
    /// Every one of them.
    pub const ALL: &'static [Allocator] = &[
        Self::Jemalloc,
        Self::Mimalloc,
        Self::Snmalloc,
        Self::Tcmalloc,
        Self::Rpmalloc,
        Self::HardenedMalloc,
        Self::Scudo,
        Self::Mallocng,
        Self::Glibc,
        Self::Dlmalloc,
    ];

    /// Such as `hardened_malloc`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jemalloc => "jemalloc",
            Self::Mimalloc => "mimalloc",
            Self::Snmalloc => "snmalloc",
            Self::Tcmalloc => "tcmalloc",
            Self::Rpmalloc => "rpmalloc",
            Self::HardenedMalloc => "hardened_malloc",
            Self::Scudo => "scudo",
            Self::Mallocng => "mallocng",
            Self::Glibc => "glibc",
            Self::Dlmalloc => "dlmalloc",
        }
    }

    /// Whether it comes with the system's C library, or with Rust's standard library where there is
    /// no such library, so that nobody has to choose it.
    pub fn is_system(self) -> bool {
        matches!(self, Self::Mallocng | Self::Glibc | Self::Dlmalloc)
    }
}

/// How sure a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sureness {
    /// Most of the evidence is there, or it is of a kind that others might share.
    Likely,
    /// All of the evidence is there, or something that nothing else has.
    Certain,
}

/// An allocator that a file carries, or asks the loader for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Carried {
    /// Which one.
    pub allocator: Allocator,
    /// What is known of the version: `5.3.1`, `3`, `of gperftools`.
    pub version: Option<String>,
    /// The shared library with it, such as `libjemalloc.so.2`; `None` if it is in the file itself.
    pub library: Option<Name>,
    /// How sure that is.
    pub sureness: Sureness,
    /// What was found, for people to read.
    pub evidence: String,
}

/// The jemalloc inside a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Jemalloc {
    /// Such as `5.3.1`. `None` for one that was built without a version.
    pub version: Option<String>,
    /// Whether its symbols and its environment variable have a prefix (`_rjem_malloc`,
    /// `_RJEM_MALLOC_CONF`), so that C code beside it keeps libc's `malloc`.
    pub prefixed: bool,
    /// The environment variable with options that it reads, such as `_RJEM_MALLOC_CONF`.
    pub variable: String,
    /// The symbol with options that it reads, such as `_rjem_malloc_conf`.
    pub options_symbol: String,
    /// What is in that symbol. `None` where nothing is, or where the symbols were stripped.
    pub options: Option<String>,
    /// The options that it was built with. `None` where the symbols were stripped.
    pub built_in_options: Option<String>,
    /// Built so that it can make heap profiles. `None` where it cannot be told.
    pub profiling: Option<bool>,
    /// Built so that it counts what it hands out. `None` where it cannot be told.
    pub statistics: Option<bool>,
    /// Built with assertions.
    pub debug: bool,
    /// The largest page size, in bytes, of a kernel that it runs on: told by its code on 64-bit
    /// Arm, where kernels differ. `None` where it cannot be told.
    pub page_size: Option<u64>,
}

/// A line that alloc-switch left in a program: what it decided, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Decision {
    /// The whole line, such as `system (target not on the jemalloc list)`; of a very long one, the
    /// beginning.
    pub text: String,
    /// Such as `jemalloc 5.3.1` or `mimalloc::MiMalloc`.
    pub allocator: String,
    /// Such as `executable artifact`.
    pub reason: String,
}

/// A name as it is in a file or on the disk: bytes, and nearly always text. To read it, print it.
/// For a machine it is a string if it is UTF-8, and else the array of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(pub Vec<u8>);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text(&self.0))
    }
}

impl Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => self.0.serialize(serializer),
        }
    }
}

/// Where the functions `malloc` and the like come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Malloc {
    /// From another file: the C library, unless another comes first when the program is loaded.
    Imported,
    /// The same, but it is a Rust program that has another allocator for itself: Rust's system
    /// allocator imports `posix_memalign` too.
    ImportedBesides,
    /// The file defines one itself.
    Own,
    /// It names none.
    None,
}

/// What [`inspect`] found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The file format.
    pub format: Format,
    /// What the linker made.
    pub kind: Kind,
    /// Such as `x86_64`.
    pub architecture: String,
    /// Every allocator that was recognised, those of a C library too.
    pub allocators: Vec<Carried>,
    /// Where `malloc` comes from.
    pub malloc: Malloc,
    /// More about the jemalloc that is linked into the file.
    pub jemalloc: Option<Jemalloc>,
    /// The symbols, defined or not, that name jemalloc or its Rust bindings. Empty for a stripped
    /// program.
    #[serde(skip)]
    pub jemalloc_symbols: Vec<String>,
    /// What alloc-switch decided, if the file says so.
    pub decisions: Vec<Decision>,
    /// ELF: the file wants room in the static TLS block (`DF_STATIC_TLS`), which `dlopen` in
    /// general does not have.
    pub static_tls: bool,
    /// ELF: size of the thread-local storage, in bytes.
    pub tls_size: u64,
    /// What a shared library or program offers to others, by name. Empty for objects and archives.
    /// Of an absurdly large file, the first few hundred thousand.
    #[serde(skip)]
    pub exports: Vec<String>,
    /// ELF: its author forbade `dlopen` (`DF_1_NOOPEN`).
    pub refuses_dlopen: bool,
    /// The shared libraries that it asks for, by name.
    pub needed: Vec<Name>,
    /// What whoever ships the file should know: a sentence or two each.
    pub advice: Vec<String>,
}

impl Report {
    /// The shared jemalloc that the loader will bring, such as `libjemalloc.so.2`.
    pub fn shared_jemalloc(&self) -> Option<&str> {
        let shared = self.allocators.iter().filter(|c| c.allocator == Allocator::Jemalloc);
        shared.filter_map(|c| std::str::from_utf8(&c.library.as_ref()?.0).ok()).next()
    }

    /// Whether the memory comes from jemalloc, be it inside or shared.
    pub fn has_jemalloc(&self) -> bool {
        self.allocators.iter().any(|carried| carried.allocator == Allocator::Jemalloc)
    }

    /// The allocators that somebody chose: not a C library's own.
    pub fn chosen(&self) -> impl Iterator<Item = &Carried> {
        self.allocators.iter().filter(|carried| !carried.allocator.is_system())
    }

    /// Whether no allocator was chosen and memory comes from the system: its C library is inside,
    /// or `malloc` is imported. The latter is likely, not certain: an allocator that nobody has
    /// heard of may be inside as well.
    pub fn is_system(&self) -> bool {
        self.chosen().next().is_none()
            && (!self.allocators.is_empty() || self.malloc == Malloc::Imported)
    }

    /// Why the file's allocator is unknown, if it is.
    pub fn unknown(&self) -> Option<&'static str> {
        let why = match self.malloc {
            _ if !self.allocators.is_empty() => return None,
            Malloc::Imported => return None,
            Malloc::ImportedBesides => {
                "it imports malloc, but Rust's system allocator is not in it"
            }
            Malloc::Own => "it has a malloc of its own",
            Malloc::None if self.needed.is_empty() => "none of the known ones, and no malloc",
            Malloc::None => "it imports no malloc; the libraries that it needs may",
        };
        Some(why)
    }

    /// Whether a running program can load it. `None` where the question makes no sense.
    pub fn can_be_dlopened(&self) -> Option<bool> {
        let may = !self.static_tls || (self.tls_size <= advice::SPARE_TLS && !self.is_musl());
        let may = may && !self.refuses_dlopen;
        (self.kind == Kind::SharedLibrary).then_some(may)
    }

    /// Whether it was linked to musl's C library, whose `dlopen` never has static TLS.
    fn is_musl(&self) -> bool {
        self.needed.iter().any(|name| name.0.starts_with(b"libc.musl-") || name.0 == b"libc.so")
    }
}

/// Such as `jemalloc 5.3.1 prefixed` or `mimalloc 3`.
fn write_carried(carried: &Carried, report: &Report, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if let Some(library) = &carried.library {
        return write!(f, "{} from {library}", carried.allocator.name());
    }
    if carried.sureness == Sureness::Likely {
        f.write_str("probably ")?;
    }
    f.write_str(carried.allocator.name())?;
    match (&carried.version, carried.allocator, &report.jemalloc) {
        (Some(version), ..) => write!(f, " {version}")?,
        (None, Allocator::Jemalloc, _) => f.write_str(" of unknown version")?,
        _ => {}
    }
    match (carried.allocator, &report.jemalloc) {
        (Allocator::Jemalloc, Some(jemalloc)) if jemalloc.prefixed => f.write_str(" prefixed"),
        (Allocator::Jemalloc, Some(_)) => f.write_str(" unprefixed"),
        _ => Ok(()),
    }
}

/// Such as `ELF executable, jemalloc 5.3.1 prefixed` or `ELF shared library, system, can be
/// dlopened`.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.format {
            Format::Elf => "ELF ",
            Format::MachO => "Mach-O ",
            Format::Pe => "PE ",
            Format::Wasm => "WebAssembly ",
        })?;
        f.write_str(match self.kind {
            Kind::Executable => "executable, ",
            Kind::SharedLibrary => "shared library, ",
            Kind::Object => "object, ",
            Kind::Archive => "archive, ",
            Kind::Module => "module, ",
        })?;
        let mut chosen = self.chosen().peekable();
        if let Some(why) = self.unknown() {
            write!(f, "unknown ({why})")?;
        } else if chosen.peek().is_none() {
            f.write_str("system")?;
            match self.allocators.first().map(|carried| carried.allocator) {
                Some(Allocator::Mallocng) => f.write_str(" (musl's mallocng)")?,
                Some(Allocator::Glibc) => f.write_str(" (glibc's)")?,
                Some(Allocator::Dlmalloc) => f.write_str(" (Rust's dlmalloc)")?,
                _ => {}
            }
        }
        let mut first = true;
        for carried in chosen {
            if !first {
                f.write_str(" and ")?;
            }
            first = false;
            write_carried(carried, self, f)?;
        }
        match self.can_be_dlopened() {
            Some(true) => f.write_str(", can be dlopened"),
            Some(false) if self.refuses_dlopen => f.write_str(", cannot be dlopened"),
            Some(false) => write!(
                f,
                ", cannot in general be dlopened ({:#x} bytes of static TLS)",
                self.tls_size
            ),
            None => Ok(()),
        }
    }
}

/// Why there is no report. It prints one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The file is something else: a text, a picture.
    NotBinary,
    /// It is a binary, but none that has an allocator: debug information, a core dump. What.
    NothingToJudge(&'static str),
    /// It is of a kind that is read, but cannot be judged: why.
    Damaged(String),
    /// It could not be read: why.
    Unreadable(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBinary => f.write_str(
                "not a program, library, object or archive in ELF, Mach-O, PE or WebAssembly",
            ),
            Self::NothingToJudge(what) => f.write_str(what),
            Self::Damaged(why) | Self::Unreadable(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {}

/// Inspects a file with code for one architecture.
///
/// # Errors
///
/// The bytes are no such file, or damaged, or a universal file that needs [`inspect_all`].
pub fn inspect(bytes: &[u8]) -> Result<Report, Error> {
    let mut reports = inspect_all(bytes)?;
    match (reports.pop(), reports.len()) {
        (Some(report), 0) => Ok(report),
        (_, others) => Err(Error::Damaged(format!(
            "a universal file with code for {} architectures",
            others + 1
        ))),
    }
}

/// Inspects a file: one report, or one for each architecture of a universal (fat) Mach-O file.
///
/// # Errors
///
/// The bytes are no such file, or damaged, or a thin archive, whose members only
/// [`inspect_path`] can find.
pub fn inspect_all(bytes: &[u8]) -> Result<Vec<Report>, Error> {
    inspect_counted(bytes).0
}

/// [`inspect_all`], and how many bytes were looked at, each time counted. For tests.
#[doc(hidden)]
pub fn inspect_counted(bytes: &[u8]) -> (Result<Vec<Report>, Error>, u64) {
    let budget = budget::Budget::of(bytes.len());
    let result = formats::inspect_all(bytes, &budget, None);
    (result, budget.looked())
}

/// Bytes as text. What is not UTF-8, and what a terminal would obey, is shown and not meant.
pub(crate) fn text(bytes: &[u8]) -> String {
    printable(&String::from_utf8_lossy(bytes))
}

/// Text in which each control character is spelt out, so that a file's contents or a name cannot
/// move the cursor or forge a line.
pub fn printable(text: &str) -> String {
    let obeyed = |c: char| {
        // the marks that turn the direction of writing, too
        c.is_control()
            || matches!(c, '\u{061c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2066}'..='\u{2069}')
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if obeyed(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}
