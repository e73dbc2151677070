use serde_json::json;

use super::*;

fn read(file: &Value) -> Result<Case, BadCase> {
    Case::read(file.to_string().as_bytes())
}

#[test]
fn bodies_come_in_three_forms() {
    let transport = json!({
        "kind": "pull-stream", "method": "GET",
        "headers": { "Content-Type": "a" }, "query": { "q": "1" }
    });
    let bodies = [
        json!({ "transport": transport, "body": "aab" }),
        json!({ "transport": transport, "body_base64": "YWFi" }),
        json!({ "transport": transport, "body_gen": [{ "repeat": "a", "n": 2 }, { "lit": "b" }] }),
    ];
    for file in bodies {
        let delivery = read(&file).unwrap().delivery;
        assert_eq!(delivery.body, "aab");
        assert_eq!(delivery.transport, Transport::Stream);
        assert_eq!(
            delivery.headers,
            [("content-type".to_owned(), "a".to_owned())]
        );
        assert_eq!(delivery.parameter("q"), Some("1"));
    }
}

#[test]
fn what_came_before_is_kept_in_order() {
    let one = |body| json!({ "transport": { "kind": "push" }, "body": body });
    let mut file = one("c");
    file["prior"] = json!([one("a"), one("b")]);
    let bodies: Vec<_> = read(&file)
        .unwrap()
        .prior
        .into_iter()
        .map(|prior| prior.body)
        .collect();
    assert_eq!(bodies, ["a", "b"]);
}

#[test]
fn other_files_are_told_apart_from_broken_ones() {
    for other in [
        json!({ "Records": [] }),
        json!([]),
        json!({ "transport": {} }),
    ] {
        assert_eq!(read(&other).unwrap_err(), BadCase::NotOne);
    }
    assert_eq!(Case::read(b"no json").unwrap_err(), BadCase::NotOne);
    let unknown = json!({ "transport": { "kind": "pigeon" }, "body": "" });
    assert!(matches!(read(&unknown), Err(BadCase::Broken(_))));
    let huge = json!({ "transport": { "kind": "push" }, "body_gen": [{ "repeat": "aaaa", "n": u64::MAX }] });
    assert!(matches!(read(&huge), Err(BadCase::Broken(_))));
}
