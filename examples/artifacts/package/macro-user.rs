//! Prints what the macro wrote into it.

fn main() {
    println!("{}", every_artifact_macro::report_of_the_macro!());
}
