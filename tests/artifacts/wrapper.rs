//! The chosen allocator inside somebody else's wrapper, and under another name.

use crate::support::{fixture, jemalloc};

#[test]
fn a_published_wrapper_counts_what_the_chosen_allocator_gives() {
    let out = fixture("wrapper").features("witness").build().run("fixture-wrapper", &[]);
    let line = jemalloc("executable artifact");
    assert_eq!(
        out,
        format!("{line}\nOk(())\nbox: jemalloc; strdup: not jemalloc\ncounted: true\n")
    );

    let system = fixture("wrapper").rustflags(r#"--cfg alloc_switch="system""#).build();
    let out = system.run("fixture-wrapper", &[]);
    let line = r#"system (--cfg alloc_switch="system")"#;
    assert_eq!(
        out,
        format!("{line}\nOk(())\nbox: nobody to ask; strdup: nobody to ask\ncounted: true\n")
    );
}
