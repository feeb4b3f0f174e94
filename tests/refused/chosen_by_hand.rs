//! ?

use alloc_switch::Chosen;

static ALLOCATOR: Chosen<()> = Chosen(());

fn main() {}
