//! The code of the pages in `docs`, which is compiled and run as doctests.

#[cfg(doctest)]
#[doc = include_str!("../../docs/handle.md")]
struct Handle;

#[cfg(doctest)]
#[doc = include_str!("../../docs/recipes.md")]
struct Recipes;
