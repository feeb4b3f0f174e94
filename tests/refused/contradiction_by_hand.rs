//! E0277 the trait bound `alloc_switch::__private::Code<6>: alloc_switch::__private::Decode` is not satisfied

use alloc_switch::Chosen;
use alloc_switch::__private::{Code, Decode};

/// jemalloc, because of a sanitizer.
type Forged = Chosen<<Code<6> as Decode>::Answer<()>>;

static ALLOCATOR: Forged = Forged::new();

fn main() {}
