use super::*;

fn args(first: Option<i32>, last: Option<i32>) -> PageArgs {
    PageArgs {
        first,
        after: None,
        last,
        before: None,
    }
}

#[test]
fn a_page_needs_a_size_within_the_limit() {
    for (first, last) in [
        (None, None),
        (Some(1), Some(1)),
        (Some(0), None),
        (Some(-1), None),
        (Some(101), None),
        (None, Some(101)),
    ] {
        assert!(
            args(first, last).page("o", 100).is_err(),
            "{first:?} {last:?}"
        );
    }
    assert_eq!(
        args(Some(100), None).page("o", 100).unwrap(),
        Page::first(100)
    );
    assert!(args(None, Some(1)).page("o", 100).unwrap().from_end);
}

#[test]
fn cursors_come_back_as_they_went() {
    for key in [
        CursorKey::Position,
        CursorKey::Integer(-1),
        CursorKey::Text("a|b/ü".into()),
        CursorKey::Text(String::new()),
    ] {
        let cursor = Cursor { key, position: 7 };
        assert_eq!(
            decode(&encode(&cursor, "objects.key"), "objects.key"),
            Some(cursor)
        );
    }
}

#[test]
fn a_cursor_of_another_order_is_refused() {
    let cursor = Cursor {
        key: CursorKey::Position,
        position: 7,
    };
    let text = encode(&cursor, "objects");
    assert_eq!(decode(&text, "objects.key"), None);
    assert_eq!(decode(&text, "executions"), None);
    assert_eq!(decode("no cursor", "objects"), None);
}
