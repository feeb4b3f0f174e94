//! The tests ask for what alloc-switch's own build script says.

fn main() {
    println!("cargo:rustc-cfg=alloc_switch_jemalloc");
}
