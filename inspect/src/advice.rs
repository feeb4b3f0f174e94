//! What whoever ships a file should know about it.

use crate::{Format, Kind, Report};

/// Bytes of static TLS that glibc keeps for libraries that are loaded later, unless told otherwise
/// (`glibc.rtld.optional_static_tls`).
pub(crate) const SPARE_TLS: u64 = 512;

pub(crate) fn advice(report: &Report) -> Vec<String> {
    let mut advice = Vec::new();
    if report.refuses_dlopen {
        advice.push("dlopen refuses it: it was linked with -z nodlopen".to_owned());
    } else if report.can_be_dlopened() == Some(false) {
        advice.push(dlopen(report));
    } else if report.kind == Kind::SharedLibrary && !is_allocator_itself(report) {
        if let Some(jemalloc) = report.jemalloc.as_ref().filter(|j| !j.prefixed) {
            advice.push(format!(
                "malloc in this library is jemalloc's (it is not prefixed: {}), and its host has \
                 another: memory that one of them allocates, the other must not free",
                jemalloc.variable
            ));
        }
    }
    if let Some(jemalloc) = &report.jemalloc {
        advice.extend(pages(report, jemalloc.page_size));
    }
    for decision in &report.decisions {
        // With several, one of them may stand for another part of the file.
        if report.decisions.len() > 1 || matches!(report.kind, Kind::Object | Kind::Archive) {
            break;
        }
        let says = decision.allocator.split([' ', ':']).next().unwrap_or_default();
        if says == "jemalloc" && !report.has_jemalloc() {
            advice.push("alloc-switch decided for jemalloc, but there is none in it".to_owned());
        } else if says == "system" && report.has_jemalloc() {
            advice.push(
                "alloc-switch decided for the system allocator, but something else brings jemalloc"
                    .to_owned(),
            );
        }
    }
    advice
}

/// Whether the file is `libjemalloc.so` and the like, which is made to take malloc's place.
fn is_allocator_itself(report: &Report) -> bool {
    report.exports.iter().any(|name| name == "mallctl" || name == "mallocx")
}

fn dlopen(report: &Report) -> String {
    let size = report.tls_size;
    let start = if report.is_musl() {
        format!(
            "dlopen fails: it wants {size} bytes of static TLS, and musl gives none to a library"
        )
    } else {
        format!(
            "dlopen fails as a rule (\"cannot allocate memory in static TLS block\"): it wants \
             {size} bytes of static TLS, and glibc keeps {SPARE_TLS} for all such libraries"
        )
    };
    let cure = match &report.jemalloc {
        Some(_) if is_allocator_itself(report) => {
            "it is made to come first: link the program to it, or start the program with LD_PRELOAD"
        }
        Some(jemalloc) if !jemalloc.prefixed => {
            "its jemalloc is unprefixed: probably Cargo unified a feature that another program of \
             the same build wants (alloc-switch's override-malloc, \
             unprefixed_malloc_on_supported_platforms) into this library; build the library by \
             itself (cargo build --package), or without that feature"
        }
        Some(_) => {
            "its jemalloc keeps each thread's data there; leave jemalloc to the program, or build \
             it with the feature disable_initial_exec_tls (alloc-switch: jemalloc-in-libraries)"
        }
        None => {
            "build it with -ftls-model=global-dynamic, link the program to it, or raise \
             GLIBC_TUNABLES=glibc.rtld.optional_static_tls"
        }
    };
    format!("{start}; {cure}")
}

/// On which kernels jemalloc aborts, where kernels of one architecture differ.
fn pages(report: &Report, page_size: Option<u64>) -> Option<String> {
    // Apple's kernels have pages of 16 KiB, and for them it is built there.
    if report.architecture != "aarch64"
        || report.format == Format::MachO
        || matches!(report.kind, Kind::Object | Kind::Archive)
    {
        return None;
    }
    let Some(size) = page_size else {
        return Some(
            "its jemalloc aborts on a kernel with larger pages than it was built for; which size \
             that is cannot be told"
                .to_owned(),
        );
    };
    if size >= 64 << 10 {
        return None;
    }
    let larger = if size < 16 << 10 { "16 or 64 KiB" } else { "64 KiB" };
    Some(format!(
        "its jemalloc was built for pages of up to {} KiB: on a kernel with pages of {larger} it \
         aborts (\"Unsupported system page size\"); built with JEMALLOC_SYS_WITH_LG_PAGE=16 it runs \
         on all",
        size >> 10,
    ))
}
