//! A preset, alone in its program because options are the process's.

#[macro_use]
#[path = "presets.rs"]
mod presets;

preset!(PROFILING_ARMED);
