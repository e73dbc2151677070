//! What a query may ask at most.

use super::{Asked, Story};

#[tokio::test]
async fn too_much_is_refused_by_name() {
    let story = Story::new();
    let asked = Asked::over(&story).await;
    let aliases: String = (0..51).map(|number| format!("a{number}: key ")).collect();
    let roots: String = (0..21)
        .map(|number| format!("ledger{number}: ledger {{ position }} "))
        .collect();
    let deep = "object { executions(first: 1) { nodes { ".repeat(6) + "id" + &" } } }".repeat(6);
    for (query, expected) in [
        (
            "{ objects { nodes { key } } }".into(),
            "needs the argument first or last",
        ),
        (
            "{ objects(first: 0) { nodes { key } } }".into(),
            "first must be from 1 to 100",
        ),
        (
            "{ objects(first: 101) { nodes { key } } }".into(),
            "first must be from 1 to 100",
        ),
        (
            "{ objects(last: 101) { nodes { key } } }".into(),
            "last must be from 1 to 100",
        ),
        (
            "{ objects(first: 1, last: 1) { nodes { key } } }".into(),
            "not both",
        ),
        (
            "{ objects(first: 1, after: \"x\") { nodes { key } } }".into(),
            "is not a cursor",
        ),
        (
            format!("{{ objects(first: 1) {{ nodes {{ {aliases} }} }} }}"),
            "51 aliases",
        ),
        (format!("{{ {roots} }}"), "21 fields at its root"),
        (
            format!("query {{ ...F }} fragment F on Query {{ {roots} }}"),
            "21 fields at its root",
        ),
        (
            format!("{{ executions(first: 1) {{ nodes {{ {deep} }} }} }}"),
            "deep",
        ),
        (
            "{ objects(first: 100) { nodes { executions(first: 100) { nodes {
               events(first: 100) { nodes { type } } } } } } }"
                .into(),
            "complex",
        ),
        (
            "{ events(first: 1, where: { stream: \"a\", streamPrefix: \"a\" }) { nodes { id } } }"
                .into(),
            "either stream or streamPrefix",
        ),
        (
            "{ objects(first: 1, where: { createdAfter: \"yesterday\" }) { nodes { id } } }".into(),
            "RFC 3339",
        ),
    ] {
        let errors = asked.errors(&query).await;
        assert!(
            errors.iter().any(|error| error.contains(expected)),
            "{query}: {errors:?}"
        );
    }
}

#[tokio::test]
async fn the_introspection_of_clients_is_within_the_limits() {
    let story = Story::new();
    let asked = Asked::over(&story).await;
    let of_type = "ofType { kind name ".repeat(9) + &"}".repeat(9);
    let query = format!(
        "{{ __schema {{ types {{ name fields(includeDeprecated: true) {{ name
             args {{ name type {{ kind name {of_type} }} }}
             type {{ kind name {of_type} }} }} }} }} }}"
    );
    asked.data(&query).await;
}
