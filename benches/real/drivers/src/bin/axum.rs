//! usage: axum PORT
//!
//! A service that keeps notes in memory: `POST /notes/ID` with JSON, `GET /notes/ID`; and counts
//! people by their city, keeping nothing: `POST /cities` with an array of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, RwLock};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{json, Value};

type Notes = Arc<RwLock<HashMap<u64, Value>>>;

async fn read(State(notes): State<Notes>, Path(id): Path<u64>) -> Json<Value> {
    let note = notes.read().unwrap().get(&id).cloned();
    Json(note.unwrap_or_else(|| json!({ "id": id, "missing": true })))
}

async fn write(State(notes): State<Notes>, Path(id): Path<u64>, note: Json<Value>) -> StatusCode {
    notes.write().unwrap().insert(id, note.0);
    StatusCode::NO_CONTENT
}

/// On a thread of its own, as tokio's documentation advises for what takes long.
async fn cities(body: Bytes) -> Result<Json<BTreeMap<String, usize>>, StatusCode> {
    let count = move || {
        let people: Vec<Value> = serde_json::from_slice(&body).ok()?;
        let mut cities = BTreeMap::new();
        for person in &people {
            *cities.entry(person["city"].as_str()?.to_owned()).or_default() += 1;
        }
        Some(Json(cities))
    };
    tokio::task::spawn_blocking(count).await.unwrap().ok_or(StatusCode::BAD_REQUEST)
}

#[tokio::main]
async fn main() {
    let [port] = drivers::arguments();
    let notes = Notes::default();
    let app = Router::new()
        .route("/notes/{id}", get(read).post(write))
        .route("/cities", post(cities))
        .layer(DefaultBodyLimit::max(16 << 20))
        .with_state(notes);
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await.unwrap();
    axum::serve(listener, app).await.unwrap();
}

allocator::register!();
