//! What a file may cost: bytes that are looked at, and memory for what is kept of it. The readers
//! of the formats get the file as a [`Source`] and reach its bytes only through it, so that each
//! look is paid for before it is taken.

use std::cell::Cell;
use std::ops::Range;

use object::ReadRef;

use crate::{text, Error};

/// How often each byte may be looked at. Honest files need less than half of it.
const LOOKS: u64 = 16;
/// For the tables of a small file.
const LEAST: u64 = 1 << 20;
/// Memory for names and notes.
const ROOM: usize = 16 << 20;
/// The longest name that is kept.
const NAME: usize = 1 << 16;

pub(crate) struct Budget {
    left: Cell<u64>,
    looked: Cell<u64>,
    overdrawn: Cell<bool>,
    room: Cell<usize>,
}

impl Budget {
    pub fn of(length: usize) -> Self {
        Self {
            left: Cell::new(LEAST + LOOKS * length as u64),
            looked: Cell::new(0),
            overdrawn: Cell::new(false),
            room: Cell::new(ROOM),
        }
    }

    /// Another file belongs to this one.
    pub fn grow(&self, length: usize) {
        self.left.set(self.left.get() + LOOKS * length as u64);
    }

    /// The bytes that were looked at.
    pub fn looked(&self) -> u64 {
        self.looked.get()
    }

    /// Pays for a look at so many bytes.
    pub fn pay(&self, bytes: usize) -> Result<(), Error> {
        match self.left.get().checked_sub(bytes as u64) {
            Some(left) => {
                self.left.set(left);
                self.looked.set(self.looked.get() + bytes as u64);
                Ok(())
            }
            None => {
                self.looked.set(self.looked.get() + self.left.replace(0));
                self.overdrawn.set(true);
                self.check()
            }
        }
    }

    /// An error once more was asked for than there was, whatever became of the look.
    pub fn check(&self) -> Result<(), Error> {
        match self.overdrawn.get() {
            true => Err(Error::Damaged("a damaged file: its tables overlap".into())),
            false => Ok(()),
        }
    }

    /// Whether there is memory for a text of this length, and for its place in a list. Once there
    /// was none, there is none for shorter ones either.
    pub fn keeps(&self, length: usize) -> bool {
        let left = self.room.get().checked_sub(length + 48);
        self.room.set(left.unwrap_or(0));
        left.is_some()
    }

    /// A name to keep, as text, if there is memory for it.
    pub fn name(&self, name: &[u8]) -> Option<String> {
        let name = (name.len() <= self.room.get().min(NAME)).then(|| text(name))?;
        self.keeps(name.len()).then_some(name)
    }
}

/// A file, or a part of one, and what pays for it.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    bytes: &'a [u8],
    pub budget: &'a Budget,
}

impl<'a> Source<'a> {
    pub fn new(bytes: &'a [u8], budget: &'a Budget) -> Self {
        Self { bytes, budget }
    }

    pub fn len(self) -> usize {
        self.bytes.len()
    }

    pub fn starts_with(self, start: &[u8]) -> bool {
        self.bytes.starts_with(start)
    }

    /// A part as a file of its own, at which nobody has looked.
    pub fn part(self, offset: u64, size: u64) -> Option<Self> {
        let (start, end) = (offset, offset.checked_add(size)?);
        let range = usize::try_from(start).ok()?..usize::try_from(end).ok()?;
        Some(Self { bytes: self.bytes.get(range)?, ..self })
    }

    /// All of it, for so many passes over each byte.
    pub fn look(self, passes: usize) -> Result<&'a [u8], Error> {
        self.budget.pay(self.bytes.len().saturating_mul(passes))?;
        Ok(self.bytes)
    }
}

impl<'a> ReadRef<'a> for Source<'a> {
    fn len(self) -> Result<u64, ()> {
        Ok(self.bytes.len() as u64)
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        let part = if size == 0 { self.part(0, 0) } else { self.part(offset, size) };
        part.ok_or(())?.look(1).map_err(|_| ())
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        let size = range.end.checked_sub(range.start).ok_or(())?;
        let part = self.part(range.start, size).ok_or(())?.bytes;
        // No further than can be paid for.
        let left = usize::try_from(self.budget.left.get()).unwrap_or(usize::MAX);
        let seen = &part[..part.len().min(left)];
        let end = memchr::memchr(delimiter, seen);
        // Without an end, one more than was seen: that overdraws where the budget was what ended
        // it.
        let looked = end.map_or(part.len().min(left.saturating_add(1)), |end| end + 1);
        self.budget.pay(looked).map_err(|_| ())?;
        end.map(|end| &seen[..end]).ok_or(())
    }
}
