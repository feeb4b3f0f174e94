//! A procedural macro, which rustc loads with `dlopen`.

alloc_switch::global_allocator!(static ALLOCATOR);

include!("../../report.rs");

/// A string literal: what the macro says of itself while rustc runs it.
#[proc_macro]
pub fn report_of_the_macro(_: proc_macro::TokenStream) -> proc_macro::TokenStream {
    format!("{:?}", report()).parse().unwrap()
}
