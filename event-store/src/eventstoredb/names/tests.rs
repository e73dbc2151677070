use proptest::prelude::*;

use super::{MAX_NAME_BYTES, Names};
use crate::StreamName;

fn names() -> Names {
    Names::new("daybook-").unwrap()
}

fn check(name: &str, wanted: &str) {
    let name = StreamName::new(name);
    let encoded = names().encode(&name).unwrap();
    assert_eq!(encoded, wanted);
    assert!(names().is_ours(&encoded));
    assert_eq!(names().decode(&encoded), Some(name));
}

#[test]
fn names_on_the_server() {
    check("execution-1", "daybook-execution-1");
    check("", "daybook-");
    check("object-inbox/a/b.csv", "daybook-object-inbox/a/b.csv");
    check("$all", "daybook-%24all");
    check("a$$b", "daybook-a%24%24b");
    check("100%", "daybook-100%25");
    check("%24", "daybook-%2524");
    check(" a\n\u{0}", "daybook-%20a%0A%00");
    check("日本 🗻", "daybook-日本%20🗻");
    check("e\u{301}", "daybook-e\u{301}");
}

#[test]
fn what_is_not_ours_has_no_name() {
    let others = [
        "$$daybook-a",
        "$ce-daybook",
        "other-a",
        "daybook",
        "daybook-a b",
        "daybook-a%2",
        "daybook-%61",
        "daybook-%ff",
    ];
    for other in others {
        assert_eq!(names().decode(other), None, "{other}");
    }
}

#[test]
fn too_long_a_name_is_refused() {
    let longest = "x".repeat(MAX_NAME_BYTES - "daybook-".len());
    names().encode(&StreamName::new(&*longest)).unwrap();
    let error = names().encode(&StreamName::new(format!("{longest}x")));
    assert_eq!(
        error.unwrap_err(),
        "the name of the stream has 4097 bytes on the server, more than 4096"
    );
}

#[test]
fn no_prefix_is_the_beginning_of_another() {
    for wrong in ["", "-", "daybook", "a-b-", "$a-", "a b-", "a--", "é-"] {
        assert!(Names::new(wrong).is_err(), "{wrong}");
    }
    for right in ["daybook-", "a.b_1-", "X-"] {
        Names::new(right).unwrap();
    }
}

proptest! {
    #[test]
    fn any_name_comes_back(name in "\\PC{0,40}|[\\x00-\\x7f]{0,40}|[%$ 0-9A-F]{0,20}") {
        let name = StreamName::new(name);
        let encoded = names().encode(&name).unwrap();
        prop_assert_eq!(names().decode(&encoded), Some(name));
    }

    #[test]
    fn what_has_a_name_is_that_names_only(encoded in "daybook-[%$ 0-9A-Fa-f]{0,8}") {
        if let Some(name) = names().decode(&encoded) {
            prop_assert_eq!(names().encode(&name).unwrap(), encoded);
        }
    }
}
