#[macro_use]
#[path = "support/presets.rs"]
mod presets;

preset!(PROFILING);
