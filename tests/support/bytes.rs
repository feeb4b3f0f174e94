//! What is in a block.

/// # Safety
///
/// `block` has this many bytes, all of them written to.
pub unsafe fn is_full_of(byte: u8, block: *mut u8, size: usize) -> bool {
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts(block, size) }.iter().all(|&found| found == byte)
}
