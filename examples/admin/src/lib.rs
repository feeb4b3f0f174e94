//! An administration server for whatever allocator a program has. It owns no static and names no
//! allocator: the program hands it a `&'static dyn Handle`, and it compiles on every target.
//!
//! | request | answer |
//! |---|---|
//! | `GET /allocator` | the allocator and why it is this one, its self-check, its options |
//! | `GET /stats` | gauges for Prometheus |
//! | `GET /report`, `GET /report?form=json` | the allocator's own report |
//! | `POST /purge` | JSON: resident memory before and after |
//! | `GET /profile/status` | JSON: whether allocations are being sampled, and whether they can be |
//! | `POST /profile/start`, `POST /profile/stop` | |
//! | `POST /profile/reset`, `POST /profile/reset?lg_sample=19` | forgets all samples |
//! | `GET /profile/heap` | the heap profile as jemalloc writes it, for `jeprof` |
//! | `GET /profile/pprof` | the same for `pprof` |
//! | `GET /profile/flamegraph` | the same as a flame graph (SVG) |
//!
//! What the allocator cannot do is answered with 501 and a sentence that says why; a second profile
//! while one is being made, with 503.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use alloc_switch::{Error, Handle, ReportFormat};
use axum::extract::{Query, Request};
use axum::http::{header, HeaderMap, StatusCode};
use axum::middleware::{from_fn, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use pprof_util::{FlamegraphOptions, StackProfile};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

pub mod limit;

type Allocator = &'static dyn Handle;

/// Serves the routes and nothing else, for as long as the program runs. No client takes the
/// program's descriptors: there are few connections at a time, for one request each, which has to
/// come soon and be over in five minutes. Who goes on to take all of them does keep others waiting.
pub async fn serve(listener: TcpListener, allocator: Allocator) {
    let connections = Arc::new(Semaphore::new(32));
    let service = TowerToHyperService::new(router(allocator));
    loop {
        let place = connections.clone().acquire_owned().await.expect("it is not closed");
        let Ok((stream, _)) = listener.accept().await else {
            // No descriptor is free, say.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(10))
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(async move {
            let _ = tokio::time::timeout(Duration::from_secs(300), connection).await;
            drop(place);
        });
    }
}

/// The routes, to be nested into a server's own.
pub fn router(allocator: Allocator) -> Router {
    // None of these is a matter of microseconds: they take the allocator's locks, and a profile is
    // symbolized. Tokio's threads for blocking work are the place for them.
    macro_rules! blocking {
        ($function:ident) => {
            move || blocking(move || $function(allocator))
        };
        ($function:ident, $query:ty) => {
            move |Query(query): Query<$query>| blocking(move || $function(allocator, query))
        };
    }
    macro_rules! alone {
        ($function:ident) => {
            move || alone(move || $function(allocator))
        };
    }
    Router::new()
        .route("/allocator", get(blocking!(about)))
        .route("/stats", get(blocking!(stats)))
        .route("/report", get(blocking!(report, ReportQuery)))
        .route("/purge", post(blocking!(purge)))
        .route("/profile/status", get(blocking!(profile_status)))
        .route("/profile/start", post(blocking!(profile_start)))
        .route("/profile/stop", post(blocking!(profile_stop)))
        .route("/profile/reset", post(blocking!(profile_reset, ResetQuery)))
        .route("/profile/heap", get(alone!(profile_heap)))
        .route("/profile/pprof", get(alone!(profile_pprof)))
        .route("/profile/flamegraph", get(alone!(profile_flamegraph)))
        .layer(from_fn(refuse_web_pages))
}

async fn blocking(answer: impl FnOnce() -> Result<Response, Failure> + Send + 'static) -> Response {
    match tokio::task::spawn_blocking(answer).await {
        Ok(answer) => answer.into_response(),
        Err(panic) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{panic}\n")).into_response(),
    }
}

/// A profile and the look-up of its functions take memory and time, however many ask.
async fn alone(answer: impl FnOnce() -> Result<Response, Failure> + Send + 'static) -> Response {
    static PROFILE: Semaphore = Semaphore::const_new(1);
    let Ok(permit) = PROFILE.try_acquire() else {
        let sentence = "another profile is being made: come back when it is done\n";
        return (StatusCode::SERVICE_UNAVAILABLE, sentence).into_response();
    };
    // It goes on when the client has gone.
    blocking(move || {
        let _permit = permit;
        answer()
    })
    .await
}

/// A web page that is open in a browser on this machine can send requests to a loopback address.
/// The browser then names the page in `Origin`, or at least in `Referer`; and one that had its own
/// name resolved to this address names that in `Host`. Neither is a person with `curl`, or
/// Prometheus. Once the server is open to others, a page that hides its name can have a browser ask
/// for what `GET` gives, but not read the answer.
async fn refuse_web_pages(request: Request, next: Next) -> Response {
    fn all<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
        headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default()).collect()
    }

    let headers = request.headers();
    let is_own = |host: &str| {
        let own = format!("http://{host}");
        let is_here = |page: &&str| {
            page.strip_prefix(&own).is_some_and(|path| path.is_empty() || path.starts_with('/'))
        };
        is_address(host)
            && all(headers, "origin").iter().all(|origin| *origin == own)
            && all(headers, "referer").iter().all(is_here)
    };
    let site = all(headers, "sec-fetch-site");
    if matches!(*all(headers, "host"), [host] if is_own(host))
        && site.iter().all(|site| matches!(*site, "none" | "same-origin"))
    {
        return next.run(request).await;
    }
    let sentence = "requests on behalf of a web page are refused, and those to a name other than \
                    localhost: use the server's IP address\n";
    (StatusCode::FORBIDDEN, sentence).into_response()
}

/// Whether this is the IP address of one machine or `localhost`, with or without a port.
/// Connections to `0.0.0.0` and `[::ffff:127.0.0.1]` arrive here too, but browsers do not take
/// these for loopback.
fn is_address(host: &str) -> bool {
    let without_port = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    match without_port.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(bare) => bare.parse::<Ipv6Addr>().is_ok_and(|address| {
            !address.is_unspecified()
                && !address.is_multicast()
                && address.to_ipv4_mapped().is_none()
        }),
        None => {
            let is_one = |address: Ipv4Addr| {
                !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast()
            };
            without_port.eq_ignore_ascii_case("localhost") || without_port.parse().is_ok_and(is_one)
        }
    }
}

/// Why there is no answer.
enum Failure {
    Allocator(Allocator, Error),
    /// Nothing has been sampled.
    Empty,
    /// A tool could not read the profile.
    Unreadable(String),
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Failure::Allocator(allocator, error) => {
                let status = match error {
                    Error::Unsupported
                    | Error::UnsupportedTarget
                    | Error::MissingFeature(_)
                    | Error::MissingOption(_) => StatusCode::NOT_IMPLEMENTED,
                    _ => StatusCode::INTERNAL_SERVER_ERROR,
                };
                (status, format!("{}: {error}\n", allocator.choice())).into_response()
            }
            Failure::Empty => {
                let sentence =
                    "nothing that is held was allocated while allocations were sampled: \
                                POST /profile/start, and wait\n";
                (StatusCode::CONFLICT, sentence).into_response()
            }
            Failure::Unreadable(error) => {
                (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
            }
        }
    }
}

fn failed(allocator: Allocator) -> impl Fn(Error) -> Failure {
    move |error| Failure::Allocator(allocator, error)
}

fn body(content_type: &'static str, bytes: impl IntoResponse) -> Result<Response, Failure> {
    Ok(([(header::CONTENT_TYPE, content_type)], bytes).into_response())
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

fn about(allocator: Allocator) -> Result<Response, Failure> {
    let check = match allocator.self_check() {
        Ok(()) => "as chosen".into(),
        Err(error) => error.to_string(),
    };
    let mut text = format!("{}\nself-check: {check}\n", allocator.choice());
    let options = options(allocator);
    if !options.is_null() {
        let _ = writeln!(text, "options: {options}");
    }
    body(TEXT, text)
}

/// jemalloc's options in effect, which are in its report. `tikv-jemalloc-ctl` reads them one by
/// one, and whatever else jemalloc has a name for.
fn options(allocator: Allocator) -> serde_json::Value {
    let mut text = String::new();
    let report = allocator.report(&mut text, ReportFormat::Json).ok();
    let json = report.and_then(|()| serde_json::from_str::<serde_json::Value>(&text).ok());
    json.map_or_else(Default::default, |mut json| json["jemalloc"]["opt"].take())
}

/// Bytes of this process in physical memory, as the system counts them. `None` on platforms that
/// memory-stats does not know, such as OpenBSD.
fn resident() -> Option<usize> {
    memory_stats::memory_stats().map(|stats| stats.physical_mem)
}

/// The value of a label as Prometheus reads it.
fn label(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[test]
fn a_label_is_escaped() {
    assert_eq!(label(r#"--cfg alloc_switch="system""#), r#"--cfg alloc_switch=\"system\""#);
    assert_eq!(label("a\\b\nc"), r"a\\b\nc");
}

/// <https://prometheus.io/docs/instrumenting/exposition_formats/>
fn stats(allocator: Allocator) -> Result<Response, Failure> {
    let choice = allocator.choice();
    let mut text = format!(
        "# HELP allocator_info The allocator in use, and why it is this one.\n\
         # TYPE allocator_info gauge\n\
         allocator_info{{name=\"{}\",version=\"{}\",reason=\"{}\"}} 1\n",
        label(choice.name()),
        choice.version().unwrap_or_default(),
        label(choice.reason().as_str()),
    );
    let stats = allocator.stats().unwrap_or_default();
    let profiling = Some(usize::from(allocator.is_profiling()));
    let gauges = [
        ("allocator_allocated_bytes", "Blocks that the program holds.", stats.allocated),
        ("allocator_active_bytes", "Pages with at least one such block.", stats.active),
        ("allocator_metadata_bytes", "What the allocator needs for itself.", stats.metadata),
        ("allocator_resident_bytes", "The allocator's physical memory, at most.", stats.resident),
        ("allocator_mapped_bytes", "Address space in use.", stats.mapped),
        ("allocator_retained_bytes", "Address space kept for later.", stats.retained),
        ("allocator_profiling", "Whether allocations are being sampled.", profiling),
        ("process_resident_memory_bytes", "Physical memory of the process.", resident()),
    ];
    for (name, help, value) in gauges {
        if let Some(value) = value {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
        }
    }
    body("text/plain; version=0.0.4; charset=utf-8", text)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReportQuery {
    #[serde(default)]
    form: Form,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    #[default]
    Text,
    Json,
}

fn report(allocator: Allocator, query: ReportQuery) -> Result<Response, Failure> {
    let (format, content_type) = match query.form {
        Form::Text => (ReportFormat::Text, TEXT),
        Form::Json => (ReportFormat::Json, JSON),
    };
    let mut text = String::new();
    allocator.report(&mut text, format).map_err(failed(allocator))?;
    body(content_type, text)
}

fn purge(allocator: Allocator) -> Result<Response, Failure> {
    let json = |bytes: Option<usize>| bytes.map_or("null".into(), |bytes| bytes.to_string());
    let before = resident();
    allocator.purge().map_err(failed(allocator))?;
    let (before, after) = (json(before), json(resident()));
    body(JSON, format!("{{\"resident_before\":{before},\"resident_after\":{after}}}\n"))
}

fn profile_status(allocator: Allocator) -> Result<Response, Failure> {
    let armed = options(allocator)["prof"] == true;
    let active = allocator.is_profiling();
    body(JSON, format!("{{\"active\":{active},\"armed\":{armed}}}\n"))
}

fn profile_start(allocator: Allocator) -> Result<Response, Failure> {
    allocator.start_profile().map_err(failed(allocator))?;
    profile_status(allocator)
}

fn profile_stop(allocator: Allocator) -> Result<Response, Failure> {
    allocator.stop_profile().map_err(failed(allocator))?;
    profile_status(allocator)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResetQuery {
    lg_sample: Option<u32>,
}

fn profile_reset(allocator: Allocator, query: ResetQuery) -> Result<Response, Failure> {
    // After a rate that samples next to nothing, running threads do not come back to another.
    if query.lg_sample.is_some_and(|lg_sample| lg_sample > 32) {
        return Ok((StatusCode::BAD_REQUEST, "lg_sample is at most 32\n").into_response());
    }
    allocator.reset_profile(query.lg_sample).map_err(failed(allocator))?;
    profile_status(allocator)
}

/// The profile as jemalloc writes it.
fn heap(allocator: Allocator) -> Result<Vec<u8>, Failure> {
    let mut heap = Vec::new();
    allocator.dump_profile_to(&mut heap).map_err(failed(allocator))?;
    Ok(heap)
}

/// The profile with the addresses of what is loaded. Functions are then looked up in this process,
/// so that who reads it needs no copy of the program.
fn stacks(allocator: Allocator) -> Result<StackProfile, Failure> {
    let heap = heap(allocator)?;
    let stacks = pprof_util::parse_jeheap(&*heap, mappings::MAPPINGS.as_deref())
        .map_err(|error| Failure::Unreadable(error.to_string()))?;
    match stacks.stacks.is_empty() {
        true => Err(Failure::Empty),
        false => Ok(stacks),
    }
}

fn profile_heap(allocator: Allocator) -> Result<Response, Failure> {
    body("application/octet-stream", heap(allocator)?)
}

fn profile_pprof(allocator: Allocator) -> Result<Response, Failure> {
    let bytes = stacks(allocator)?.to_pprof(("inuse_space", "bytes"), ("space", "bytes"), None);
    body("application/octet-stream", bytes)
}

fn profile_flamegraph(allocator: Allocator) -> Result<Response, Failure> {
    let mut options = FlamegraphOptions::default();
    options.title = "Bytes held, by the stack that allocated them".into();
    options.count_name = "bytes".into();
    let svg = stacks(allocator)?
        .to_flamegraph(&mut options)
        .map_err(|error| Failure::Unreadable(error.to_string()))?;
    body("image/svg+xml", svg)
}
