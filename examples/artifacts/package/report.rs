use alloc_switch::Handle as _;

/// What this artifact says of itself while it runs.
fn report() -> String {
    let verdict = match ALLOCATOR.self_check() {
        Ok(()) => "self-check passed".to_string(),
        Err(error) => error.to_string(),
    };
    format!("every-artifact: {ALLOCATOR}; {verdict}")
}
