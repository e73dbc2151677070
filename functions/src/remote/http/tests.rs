use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::HeaderMap;

use super::*;

fn answer(status: u16, headers: &[(&'static str, &str)], body: &[u8]) -> OutcomeResult {
    masked(status, headers, body, &Masks::default())
}

fn masked(
    status: u16,
    headers: &[(&'static str, &str)],
    body: &[u8],
    masks: &Masks,
) -> OutcomeResult {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
        .collect();
    let answer = Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers,
        body: Bytes::copy_from_slice(body),
    };
    outcome(&answer, masks)
}

#[test]
fn json_is_itself_and_text_a_string() {
    let check = |content_type: Option<&str>, body: &[u8], expected: Value| {
        let headers: Vec<_> = content_type
            .map(|it| ("content-type", it))
            .into_iter()
            .collect();
        let got = answer(200, &headers, body);
        assert_eq!(got, OutcomeResult::Succeeded(expected), "{content_type:?}");
    };
    check(Some("application/json"), b"{\"a\":1}", json!({ "a": 1 }));
    check(Some("Application/JSON; charset=utf-8"), b"[1]", json!([1]));
    check(Some("application/cloudevents+json"), b"{}", json!({}));
    check(Some("text/html; charset=utf-8"), b"OK", json!("OK"));
    check(Some("text/plain"), b"17", json!("17"));
    check(Some("application/octet-stream"), "ü".as_bytes(), json!("ü"));
    check(None, b"{\"a\":1}", json!({ "a": 1 }));
    check(None, b"done", json!("done"));
    check(Some("application/json"), b" \n", Value::Null);
    assert_eq!(answer(204, &[], b""), OutcomeResult::Succeeded(Value::Null));
}

#[test]
fn what_is_neither_json_nor_text_fails() {
    for (content_type, body) in [
        ("application/json", &b"OK"[..]),
        ("image/png", &b"\x89PNG\xff"[..]),
    ] {
        let got = answer(200, &[("content-type", content_type)], body);
        let OutcomeResult::Failed { error, .. } = got else {
            panic!("{content_type}: {got:?}");
        };
        assert_eq!(error, "Runtime.InvalidResponse");
    }
}

#[test]
fn other_statuses_are_errors_that_say_what_there_is() {
    let check = |status: u16, headers: &[(&'static str, &str)], body: &[u8], said: &[&str]| {
        let got = answer(status, headers, body);
        let OutcomeResult::Failed { error, cause } = got else {
            panic!("{status}: {got:?}");
        };
        assert_eq!(error, format!("States.Http.StatusCode.{status}"));
        let cause: Value = serde_json::from_str(&cause).unwrap();
        assert_eq!(cause["errorType"], error);
        assert_eq!(cause["statusCode"], status);
        let message = cause["errorMessage"].as_str().unwrap();
        for part in said {
            assert!(message.contains(part), "{message}");
        }
        cause
    };
    check(500, &[], b"out of ink", &["500", "out of ink"]);
    check(404, &[], b"", &["404 Not Found"]);
    let cause = check(429, &[("retry-after", "120")], b"", &["429", "120"]);
    assert_eq!(cause["retryAfter"], "120");
    let place = [("location", "http://169.254.169.254/")];
    check(
        302,
        &place,
        b"",
        &["169.254.169.254", "redirects are not followed"],
    );
    let long = vec![b'x'; 100_000];
    let cause = check(503, &[], &long, &["503"]);
    assert!(cause.to_string().len() < 3 << 10);
}

#[test]
fn what_an_answer_quotes_of_the_headers_is_masked() {
    let headers = [
        ("authorization", "Bearer planted-token"),
        ("x-key", "planted-key"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let headers = HttpHeaders::parse(&headers.into()).unwrap();
    // The last one is where the text is cut.
    let mut said = b"no to Bearer planted-token, to planted-token and to planted-key".to_vec();
    said.resize(QUOTED_CHARS - 7, b'.');
    said.extend_from_slice(b"planted-key");
    let OutcomeResult::Failed { cause, .. } = masked(403, &[], &said, &masks(&headers)) else {
        panic!("it failed");
    };
    assert!(!cause.contains("planted"), "{cause}");
    let masked = "no to ***authorization***, to ***authorization*** and to ***x-key***";
    assert!(cause.contains(masked), "{cause}");
}
