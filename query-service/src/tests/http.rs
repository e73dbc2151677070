//! The query endpoint over HTTP.

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

use super::{Asked, Story, text};

const RESPONSE: &str = "application/graphql-response+json";
const JSON: &str = "application/json";

fn post(accept: &str, body: &str) -> Request<Body> {
    Request::post("/graphql")
        .header("accept", accept)
        .header("content-type", "application/json")
        .body(Body::from(body.to_owned()))
        .unwrap()
}

fn get(accept: &str, query: &str) -> Request<Body> {
    Request::get(format!("/graphql?{query}"))
        .header("accept", accept)
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn the_status_is_that_of_the_specification() {
    let story = Story::new();
    let asked = Asked::over(&story).await;
    let query = r#"{"query":"{ ledger { position } }"}"#;
    let named =
        r#"{"query":"query A { __typename } query B { ledger { id } }","operationName":"A"}"#;
    let (no_field, no_syntax) = (r#"{"query":"{ nothing }"}"#, r#"{"query":"{"}"#);
    for (request, status) in [
        (post(RESPONSE, query), 200),
        (post(JSON, query), 200),
        (post("*/*", query), 200),
        (post("text/plain", query), 406),
        (post(RESPONSE, named), 200),
        (post(RESPONSE, no_field), 400),
        (post(JSON, no_field), 200),
        (post(RESPONSE, no_syntax), 400),
        (post(JSON, no_syntax), 200),
        (post(JSON, "{"), 400),
        (post(JSON, "{}"), 400),
        (post(JSON, "[]"), 400),
        (post(JSON, r#"{"query":1}"#), 400),
        (
            post(JSON, r#"{"query":"{ __typename }","variables":[]}"#),
            400,
        ),
        (get(JSON, "query=%7B__typename%7D"), 200),
        (get(JSON, ""), 400),
        (get(JSON, "query=%7B__typename%7D&variables=x"), 400),
        (
            get(RESPONSE, "query=subscription%7Bstatistics%7Bwindow%7D%7D"),
            405,
        ),
        (get(JSON, "query=mutation%7Ba%7D"), 405),
    ] {
        let what = format!("{request:?}");
        let response = asked.send(request).await;
        assert_eq!(response.status().as_u16(), status, "{what}");
    }
}

#[tokio::test]
async fn answers_say_their_type_and_position() {
    let story = Story::new();
    story.put("a.txt", 1).await;
    let asked = Asked::over(&story).await;
    for media in [JSON, RESPONSE] {
        let response = asked
            .send(post(media, r#"{"query":"{ ledger { position } }"}"#))
            .await;
        let found = response.headers()[CONTENT_TYPE].to_str().unwrap();
        assert_eq!(found, format!("{media}; charset=utf-8"));
        let body: Value = serde_json::from_str(&text(response).await).unwrap();
        let expected = json!({
            "data": { "ledger": { "position": 1 } }, "extensions": { "position": 1 },
        });
        assert_eq!(body, expected);
    }
    let response = asked.send(post(JSON, r#"{"query":"{ nothing }"}"#)).await;
    let body: Value = serde_json::from_str(&text(response).await).unwrap();
    assert!(
        body.get("data").is_none() && body["errors"].is_array(),
        "{body}"
    );
}

#[tokio::test]
async fn other_bodies_and_methods_are_refused() {
    let story = Story::new();
    let asked = Asked::over(&story).await;
    let request = Request::post("/graphql")
        .header("content-type", "text/plain")
        .body(Body::from(r#"{"query":"{ __typename }"}"#))
        .unwrap();
    let response = asked.send(request).await;
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let request = Request::put("/graphql").body(Body::empty()).unwrap();
    let response = asked.send(request).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(response.headers().contains_key(ALLOW));
    let long = format!(r#"{{"query":"{{ __typename }}{}"}}"#, " ".repeat(300_000));
    let response = asked.send(post(JSON, &long)).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn the_console_needs_nothing_from_elsewhere() {
    let story = Story::new();
    let asked = Asked::over(&story).await;
    let mut assets = Vec::new();
    for path in ["/console", "/graphql"] {
        let request = Request::get(path)
            .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
            .body(Body::empty())
            .unwrap();
        let response = asked.send(request).await;
        assert_eq!(response.status(), StatusCode::OK);
        let page = text(response).await;
        assert!(
            !page.contains("//cdn") && !page.contains("https://"),
            "{page}"
        );
        assets = page
            .split('"')
            .filter(|part| part.starts_with("/console/"))
            .map(str::to_owned)
            .collect();
    }
    assert_eq!(assets.len(), 4);
    for asset in assets {
        let request = Request::get(&asset).body(Body::empty()).unwrap();
        let response = asked.send(request).await;
        assert_eq!(response.status(), StatusCode::OK, "{asset}");
        assert_eq!(response.headers()[CONTENT_ENCODING], "gzip");
    }
    for (path, status) in [
        ("LICENSE-graphiql", 200),
        ("nothing.js", 404),
        ("..%2Flib.rs", 404),
    ] {
        let request = Request::get(format!("/console/{path}"));
        let response = asked.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status().as_u16(), status, "{path}");
    }
}

#[tokio::test]
async fn projections_are_listed_and_rebuilt() {
    let story = super::told().await;
    let asked = Asked::over(&story).await;
    let request = Request::get("/v1/projections").body(Body::empty()).unwrap();
    let body: Value = serde_json::from_str(&text(asked.send(request).await).await).unwrap();
    assert_eq!(body["head"], 17);
    assert_eq!(body["projections"][0]["state"], "LIVE");
    for (name, status) in [("all", 200), ("objects", 200), ("nonsense", 404)] {
        let request = Request::post(format!("/v1/projections/{name}/rebuild"));
        let response = asked.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status().as_u16(), status, "{name}");
        let body: Value = serde_json::from_str(&text(response).await).unwrap();
        if status == 200 {
            assert_eq!(
                (&body["equal"], &body["position"]),
                (&json!(true), &json!(17))
            );
        }
    }
}
