//! `/console`: GraphiQL from the program itself, so that it works without the Internet.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{Html, IntoResponse, Response};
use rust_embed::RustEmbed;

/// The scripts and styles, compressed as they are stored.
#[derive(RustEmbed)]
#[folder = "assets/"]
struct Assets;

const PAGE: &str = include_str!("console.html");
/// GraphiQL's editor makes styles and workers as it goes; everything else comes from here.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; \
                      script-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      font-src 'self' data:; worker-src 'self' blob:; connect-src 'self'; \
                      frame-ancestors 'none'";

/// The page.
pub(super) async fn page() -> Response {
    ([(CONTENT_SECURITY_POLICY, POLICY)], Html(PAGE)).into_response()
}

/// A script, a style or a licence.
pub(super) async fn asset(Path(name): Path<String>) -> Response {
    let packed = format!("{name}.gz");
    let kind = match name.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    };
    if let Some(file) = Assets::get(&packed) {
        let headers = [
            (CONTENT_TYPE, kind),
            // Every browser unpacks it; other clients can.
            (CONTENT_ENCODING, "gzip"),
            (CACHE_CONTROL, "public, max-age=86400"),
        ];
        return (headers, file.data.into_owned()).into_response();
    }
    match Assets::get(&name) {
        Some(file) => ([(CONTENT_TYPE, kind)], file.data.into_owned()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
