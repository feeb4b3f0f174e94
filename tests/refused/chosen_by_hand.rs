//! E0423 cannot initialize a tuple struct which contains private fields

use alloc_switch::Chosen;

static ALLOCATOR: Chosen<()> = Chosen(());

fn main() {}
