//! usage: axum PORT
//!
//! A service that keeps notes in memory: `POST /notes/ID` with JSON, `GET /notes/ID`.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
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

#[tokio::main]
async fn main() {
    let [port] = drivers::arguments();
    let notes = Notes::default();
    let app = Router::new().route("/notes/{id}", get(read).post(write)).with_state(notes);
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await.unwrap();
    axum::serve(listener, app).await.unwrap();
}

allocator::register!();
