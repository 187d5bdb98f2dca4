//! The API of our own: sandboxes as resources under `/v1`, files in and out, scoring; described by `openapi.json`.

mod cells;
mod files;
mod sandboxes;
mod score;

use std::sync::Arc;

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, delete, get, post, put};
use axum::{Json, Router};
use serde_json::json;

use crate::service::Service;

/// The document that describes this API.
const OPENAPI: &str = include_str!("../../openapi.json");

/// A path, its methods as the document names them, and what answers.
type Route = (
    &'static str,
    &'static [&'static str],
    MethodRouter<Arc<Service>>,
);

fn table() -> Vec<Route> {
    vec![
        ("/healthz", &["get"], get(healthz)),
        ("/openapi.json", &["get"], get(openapi)),
        (
            "/v1/sandboxes",
            &["get", "post"],
            get(sandboxes::list).post(sandboxes::open),
        ),
        (
            "/v1/sandboxes/{id}",
            &["get", "delete"],
            get(sandboxes::show).delete(sandboxes::close),
        ),
        (
            "/v1/sandboxes/{id}/execute",
            &["post"],
            post(cells::execute),
        ),
        (
            "/v1/sandboxes/{id}/interrupt",
            &["post"],
            post(cells::interrupt),
        ),
        ("/v1/sandboxes/{id}/files", &["get"], get(files::list)),
        (
            "/v1/sandboxes/{id}/files/{*path}",
            &["get", "put"],
            put(files::write).get(files::read),
        ),
        (
            "/v1/sandboxes/{id}/collect",
            &["post"],
            post(files::collect),
        ),
        (
            "/v1/files",
            &["get", "post"],
            get(files::uploads).post(files::upload),
        ),
        ("/v1/files/{blake3}", &["delete"], delete(files::forget)),
        ("/v1/score", &["post"], post(score::score)),
    ]
}

pub fn routes() -> Router<Arc<Service>> {
    table()
        .into_iter()
        .fold(Router::new(), |router, (path, _, methods)| {
            router.route(path, methods)
        })
}

async fn healthz() -> impl IntoResponse {
    Json(json!({"status": "ok"}))
}

async fn openapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], OPENAPI)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_document_has_every_route_and_no_other() {
        let document: Value = serde_json::from_str(OPENAPI).unwrap();
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        let described: BTreeMap<String, Vec<String>> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(path, item)| {
                let methods = item.as_object().unwrap().keys();
                (
                    path.clone(),
                    methods
                        .filter(|key| *key != "parameters")
                        .cloned()
                        .collect(),
                )
            })
            .collect();
        let mut routes: BTreeMap<String, Vec<String>> = table()
            .into_iter()
            .map(|(path, methods, _)| {
                let mut methods: Vec<String> = methods.iter().map(ToString::to_string).collect();
                methods.sort();
                (path.replace("{*path}", "{path}"), methods)
            })
            .collect();
        routes.insert("/metrics".to_owned(), vec!["get".to_owned()]);
        routes.insert("/".to_owned(), vec!["get".to_owned()]);
        let described: BTreeMap<_, _> = described
            .into_iter()
            .map(|(path, mut methods)| {
                methods.sort();
                (path, methods)
            })
            .collect();
        assert_eq!(described, routes);
    }
}
