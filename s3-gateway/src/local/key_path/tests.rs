use std::path::{Component, Path, PathBuf};

use proptest::prelude::*;

use super::*;

fn place(key: &str) -> PathBuf {
    plain_path(key).unwrap_or_else(|| hidden_path(key))
}

#[test]
fn ordinary_keys_are_plain_and_all_others_are_not() {
    let long = "n".repeat(255);
    for key in [
        "a",
        "a/b.csv",
        "sp ace",
        "emoji😀",
        "a+b",
        "a%2Fb",
        "...",
        ".hidden",
        "a/.daybook",
        &long,
    ] {
        assert_eq!(plain_path(key), Some(PathBuf::from(key)), "{key}");
        assert_eq!(key_of(Path::new(key)).as_deref(), Some(key));
    }
    let too_long = "n".repeat(256);
    for key in [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "../a",
        "a/..",
        "a/./b",
        "nul\0",
        "tab\t",
        "a\\b",
        ".daybook",
        ".daybook/keys/x",
        ".DAYBOOK/x",
        &too_long,
    ] {
        assert_eq!(plain_path(key), None, "{key}");
    }
}

proptest! {
    #[test]
    fn no_key_leaves_the_folder(key in "[a./\\\\\u{0}-\u{1f}é-]{0,40}") {
        let path = place(&key);
        prop_assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{path:?}");
        let own = path.starts_with(PRIVATE);
        prop_assert_eq!(own, plain_path(&key).is_none());
    }

    #[test]
    fn different_keys_have_different_places(a in "[a./]{0,8}", b in "[a./]{0,8}") {
        prop_assert_eq!(a == b, place(&a) == place(&b));
    }

    #[test]
    fn any_text_at_all_has_a_place(key in any::<String>()) {
        let path = place(&key);
        prop_assert!(path.is_relative());
        prop_assert!(plain_path(&key).is_none_or(|path| key_of(&path).is_none_or(|back| back == key)));
    }
}
