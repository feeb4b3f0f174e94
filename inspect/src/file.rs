//! Takes a file from the disk without trusting it: nothing that is no regular file is opened,
//! nothing is mapped, nothing is waited for, and only what looks like a program is read at all.

use std::collections::HashSet;
use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::budget::Budget;
use crate::formats;
use crate::{printable, Error, Report};

/// The largest file that is read, in bytes. Reading takes as much memory.
pub const LARGEST: u64 = 4 << 30;

/// As much of a file as tells whether it is worth reading.
const BEGINNING: u64 = 4096;

/// Inspects a file on the disk: one report, or one for each architecture of a universal (fat)
/// Mach-O file. The members of a thin archive are looked for beside it.
///
/// It takes the memory of the file's size and at most 64 MiB more.
///
/// # Errors
///
/// It is no file of a kind that is read, it is damaged or larger than [`LARGEST`], or it cannot be
/// read: no permission, a device, a pipe, a file that shrinks meanwhile.
pub fn inspect_path(path: &Path) -> Result<Vec<Report>, Error> {
    let mut room = LARGEST;
    let bytes = read(path, &mut room, &mut HashSet::new())?.unwrap_or_default();
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let mut members = HashSet::new();
    let mut elsewhere = |name: &[u8]| {
        let member = folder.join(as_path(name));
        match read(&member, &mut room, &mut members) {
            // Named again, it has nothing new to say.
            Ok(bytes) => Ok(bytes.unwrap_or_default()),
            // a text in an archive
            Err(Error::NotBinary | Error::NothingToJudge(_)) => Ok(Vec::new()),
            Err(error) => Err(Error::Unreadable(format!(
                "a thin archive whose member {} cannot be read: {error}",
                printable(&member.display().to_string())
            ))),
        }
    };
    formats::inspect_all(&bytes, &Budget::of(bytes.len()), Some(&mut elsewhere))
}

/// What a file is, whatever it is called.
#[cfg(unix)]
type Identity = (u64, u64);
#[cfg(not(unix))]
type Identity = PathBuf;

#[cfg(unix)]
fn identity(_: &Path, meta: &fs::Metadata) -> io::Result<Identity> {
    use std::os::unix::fs::MetadataExt;
    Ok((meta.dev(), meta.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path, _: &fs::Metadata) -> io::Result<Identity> {
    fs::canonicalize(path)
}

/// Reads a regular file that looks like a program, and takes its size out of `room`; `None` for one
/// of those that were read.
fn read(
    path: &Path,
    room: &mut u64,
    known: &mut HashSet<Identity>,
) -> Result<Option<Vec<u8>>, Error> {
    // Before it is opened: to open a device may do something.
    let kind = fs::metadata(path).map_err(unreadable)?.file_type();
    regular(kind)?;
    let file = open(path).map_err(unreadable)?;
    let meta = file.metadata().map_err(unreadable)?;
    regular(meta.file_type())?;
    let new = known.insert(identity(path, &meta).map_err(unreadable)?);
    new.then(|| take(file, meta.len(), room)).transpose()
}

/// Reads `size` bytes if their beginning looks like a program's.
fn take(file: impl Read, size: u64, room: &mut u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let mut file = file.take(size.min(BEGINNING));
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    if !formats::is_worth_reading(&bytes) {
        return Err(Error::NotBinary);
    }
    *room = room.checked_sub(size).ok_or_else(|| {
        Error::Unreadable(format!("larger than the {} GiB that are read", LARGEST >> 30))
    })?;
    let rest = size - bytes.len() as u64;
    if !usize::try_from(rest).is_ok_and(|rest| bytes.try_reserve_exact(rest).is_ok()) {
        return Err(Error::Unreadable(format!("no memory for its {size} bytes")));
    }
    file.set_limit(rest);
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    if (bytes.len() as u64) < size {
        return Err(Error::Unreadable("it shrank while it was read".into()));
    }
    Ok(bytes)
}

fn regular(kind: FileType) -> Result<(), Error> {
    if kind.is_file() {
        return Ok(());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let what = match () {
            () if kind.is_fifo() => "a pipe, not a file",
            () if kind.is_char_device() || kind.is_block_device() => "a device, not a file",
            () if kind.is_socket() => "a socket, not a file",
            () => "a folder, not a file",
        };
        Err(Error::Unreadable(what.into()))
    }
    #[cfg(not(unix))]
    Err(Error::Unreadable("not a file".into()))
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // Should it have become a pipe by now, do not wait for a writer; nor become a terminal's.
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    }
    options.open(path)
}

fn unreadable(error: io::Error) -> Error {
    Error::Unreadable(match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".into(),
        io::ErrorKind::PermissionDenied => "no permission to read it".into(),
        _ => printable(&error.to_string()),
    })
}

fn as_path(name: &[u8]) -> PathBuf {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        std::ffi::OsStr::from_bytes(name).into()
    }
    #[cfg(not(unix))]
    String::from_utf8_lossy(name).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_shrinks() {
        let program = [&b"\x7fELF\x02\x01\x01"[..], &[0; 9000]].concat();
        let size = program.len() as u64;
        assert_eq!(take(&program[..], size, &mut LARGEST.clone()).unwrap(), program);
        // on the way, and before the first byte that matters
        for left in [program.len() - 1, BEGINNING as usize, 100] {
            let error = take(&program[..left], size, &mut LARGEST.clone()).unwrap_err();
            assert_eq!(error.to_string(), "it shrank while it was read");
        }
        // one that grows is what it was
        assert_eq!(take(&program[..], 5000, &mut LARGEST.clone()).unwrap(), program[..5000]);
    }

    #[test]
    fn a_file_without_end() {
        let endless = io::Cursor::new(b"\x7fELF\x02\x01\x01").chain(io::repeat(0));
        let error = take(endless, u64::MAX, &mut LARGEST.clone()).unwrap_err();
        assert_eq!(error.to_string(), "larger than the 4 GiB that are read");
        assert_eq!(take(io::repeat(0), u64::MAX, &mut LARGEST.clone()), Err(Error::NotBinary));
    }

    /// A small archive may name a large member two thousand times.
    #[test]
    fn a_member_of_a_thin_archive_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let seed = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/elf-object.o");
        let member = folder.path().join("member.o");
        let archive = folder.path().join("thin.a");
        let header = format!("{:<48}{:<10}`\n", "member.o/", fs::metadata(seed).unwrap().len());
        for (times, is_read) in [(1, true), (2000, true)] {
            fs::copy(seed, &member).unwrap();
            fs::write(&archive, format!("!<thin>\n{}", header.repeat(times))).unwrap();
            let report = inspect_path(&archive);
            assert_eq!(report.is_ok(), is_read, "{report:?}");
            assert_eq!(report, inspect_path(&archive), "{times} times");
        }
        let large = fs::OpenOptions::new().write(true).open(&member).unwrap();
        large.set_len(8 << 20).unwrap();
        const { assert!((8_u64 << 20) * 2000 > LARGEST) };
        assert!(inspect_path(&archive).is_ok(), "2000 times 8 MiB would be too much");
    }

    /// Identity is not the name: links and detours lead to one file.
    #[cfg(unix)]
    #[test]
    fn member_is_one_under_all_its_spellings() {
        let folder = tempfile::tempdir().unwrap();
        let member = folder.path().join("member.o");
        fs::write(&member, [&b"\x7fELF\x02\x01\x01"[..], &[0; 93]].concat()).unwrap();
        fs::hard_link(&member, folder.path().join("link.o")).unwrap();
        std::os::unix::fs::symlink("member.o", folder.path().join("symlink.o")).unwrap();
        let (mut room, mut known) = (150, HashSet::new());
        assert!(read(&member, &mut room, &mut known).unwrap().is_some());
        let detours = (1..250).map(|times| format!("{}member.o", "./".repeat(times)));
        for name in detours.chain(["link.o".into(), "symlink.o".into()]) {
            let again = read(&folder.path().join(&name), &mut room, &mut known);
            assert_eq!(again, Ok(None), "{name}");
        }
    }

    #[test]
    fn members_of_a_thin_archive_share_the_room() {
        let program = [&b"\x7fELF\x02\x01\x01"[..], &[0; 93]].concat();
        let mut room = 150;
        assert!(take(&program[..], 100, &mut room).is_ok());
        assert!(take(&program[..], 100, &mut room).is_err());
    }
}
