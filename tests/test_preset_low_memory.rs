#[macro_use]
#[path = "support/presets.rs"]
mod presets;

preset!(LOW_MEMORY);
