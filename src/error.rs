//! Why the handle could not do what was asked.

use core::fmt;

/// Why a request on the handle was not met.
///
/// `Display` says what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// The artifact is on the system allocator, which cannot do this on this target. The handle's
    /// [`choice`](crate::Switch::choice) says why it is.
    System,
    /// The jemalloc that was built cannot do this on this target.
    Target,
    /// jemalloc was built without this feature of this crate.
    Feature(&'static str),
    /// jemalloc was not started with this option.
    Option(&'static str),
    /// The path has a NUL in it or is longer than 4,095 bytes.
    Path,
    /// jemalloc refused, with this error number.
    Jemalloc(i32),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::System => f.write_str(
                "the system allocator cannot do this on this target; print the handle to see why it was chosen",
            ),
            Error::Target => f.write_str("jemalloc cannot do this on this target"),
            Error::Feature(feature) => {
                write!(f, "jemalloc was built without it: turn on the feature `{feature}` of alloc-switch")
            }
            Error::Option(option) => write!(
                f,
                "the program was started without it: write `conf = \"{option}\"` in `global_allocator!`, or put \
                 \"{option}\" into the environment variable that jemalloc reads"
            ),
            Error::Path => f.write_str("the path has a NUL in it or is longer than 4095 bytes"),
            Error::Jemalloc(errno) => write!(f, "jemalloc refused with error number {errno}"),
        }
    }
}

impl std::error::Error for Error {}
