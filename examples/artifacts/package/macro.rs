//! A procedural macro, which rustc loads with `dlopen`. It registers nothing, because rustc would count that for the programs
//! that use the macro; std gives it the system allocator by itself, as the self-check shows.

const ALLOCATOR: alloc_switch::switch!() = alloc_switch::switch!();

include!("../../report.rs");

/// A string literal: what the macro says of itself while rustc runs it.
#[proc_macro]
pub fn report_of_the_macro(_: proc_macro::TokenStream) -> proc_macro::TokenStream {
    format!("{:?}", report()).parse().unwrap()
}
