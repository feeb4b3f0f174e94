//! alloc-switch: in `conf`, "narenas:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" takes an integer, such as 1000
//! (with jemalloc)

macro_rules! times_16 {
    ($text:expr) => {
        concat!(
            $text, $text, $text, $text, $text, $text, $text, $text, //
            $text, $text, $text, $text, $text, $text, $text, $text
        )
    };
}

// 64 KiB are one pair
alloc_switch::global_allocator!(
    conf = concat!("narenas:", times_16!(times_16!(times_16!("xxxxxxxxxxxxxxxx"))))
);

fn main() {}
