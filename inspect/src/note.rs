//! What alloc-switch leaves in a file: data with a mark in front, the same in every format. Where a
//! file has them, it is an ELF note: the lengths of name and text, a type, the name, the text.

use std::sync::OnceLock;

use memchr::memmem::Finder;
use object::Endianness;

use crate::budget::Budget;
use crate::formats::number;
use crate::{Decision, Error};

const NAME: &str = "alloc-switch";
/// The name with the NULs behind it, up to a multiple of four.
const NAME_SIZE: usize = 16;
/// Before the name: three numbers.
const NUMBERS: usize = 12;
/// How many are kept, and of each how much.
const MOST: usize = 64;
const LONGEST: usize = 500;

/// Adds the decisions in `data` that are not known yet, and says what is wrong with one.
pub(crate) fn find(
    data: &[u8],
    endian: Endianness,
    budget: &Budget,
    decisions: &mut Vec<Decision>,
) -> Result<Option<&'static str>, Error> {
    static FINDER: OnceLock<Finder<'static>> = OnceLock::new();
    // Only here does the name get its NULs, so that this program has no mark.
    let finder = FINDER.get_or_init(|| {
        Finder::new(&[NAME.as_bytes(), &[0; NAME_SIZE - NAME.len()]].concat()).into_owned()
    });
    let mut odd = None;
    for at in finder.find_iter(data) {
        let Some(numbers) = at.checked_sub(NUMBERS).map(|start| &data[start..at]) else { continue };
        let field = |index: usize| number(&numbers[4 * index..][..4], endian);
        if field(0) != Some(NAME.len() as u64 + 1) {
            continue;
        }
        let rest = &data[at + NAME_SIZE..];
        let text = field(1).and_then(|length| rest.get(..usize::try_from(length).ok()?));
        // To read it, and to compare it with the others.
        budget.pay(text.map_or(0, <[u8]>::len).saturating_mul(1 + decisions.len()))?;
        match text.filter(|_| field(2) == Some(1)).and_then(decision) {
            None => odd = Some("it has a note of alloc-switch's that cannot be read"),
            Some(decision) if decisions.contains(&decision) => {}
            Some(_) if decisions.len() == MOST => {
                odd = Some("it has more decisions of alloc-switch's than are shown");
            }
            Some(decision) => decisions.push(decision),
        }
    }
    Ok(odd)
}

/// `ALLOCATOR (REASON)`
fn decision(text: &[u8]) -> Option<Decision> {
    let text = std::str::from_utf8(text).ok()?;
    let (allocator, reason) = text.strip_suffix(')')?.rsplit_once(" (")?;
    let fine = !allocator.is_empty() && !reason.is_empty() && crate::printable(text) == text;
    fine.then(|| Decision {
        text: shortened(text),
        allocator: shortened(allocator),
        reason: shortened(reason),
    })
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
