//! ?

const CHOICE: alloc_switch::Choice = alloc_switch::choice!(jemaloc);

fn main() {}
