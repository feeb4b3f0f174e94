//! A preset, alone in its program because options are the process's.

#[macro_use]
#[path = "support/presets.rs"]
mod presets;

preset!(ONE_ARENA);
