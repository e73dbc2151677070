use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(text: &str, coding: Coding, expect: Result<&str, Reason>) {
    let decoded = decode(text, coding, &Place::ROOT).map_err(|rejection| rejection.reason);
    assert_eq!(
        decoded.as_ref().map(ObjectKey::as_str),
        expect.as_ref().copied()
    );
}

#[test]
fn forms_are_decoded_once() {
    check("a+b%2Bc%20d", Coding::Form, Ok("a b+c d"));
    check("%252B", Coding::Form, Ok("%2B"));
    check("a%2Fb/c", Coding::Form, Ok("a/b/c"));
    check("p%c3%a1", Coding::Form, Ok("pá"));
    check("日本", Coding::Form, Ok("日本"));
    check("//a//b%2F./", Coding::Form, Ok("//a//b/./"));
    check("../../etc/passwd", Coding::Form, Ok("../../etc/passwd"));
}

#[test]
fn plain_keys_are_as_they_are() {
    check("a+b %2B 100%", Coding::Plain, Ok("a+b %2B 100%"));
    check("line\nfeed\u{7f}", Coding::Plain, Ok("line\nfeed\u{7f}"));
}

#[test]
fn what_no_key_can_be_is_refused() {
    for coding in [Coding::Plain, Coding::Form] {
        check("", coding, Err(Reason::KeyEmpty));
        check("a\0b", coding, Err(Reason::KeyControlChar));
        check(&"k".repeat(1024), coding, Ok(&"k".repeat(1024)));
        check(&"k".repeat(1025), coding, Err(Reason::KeyTooLong));
        check(&"k".repeat(10 << 20), coding, Err(Reason::KeyTooLong));
    }
    check("a%00b", Coding::Form, Err(Reason::KeyControlChar));
    check("name%E3%8", Coding::Form, Err(Reason::KeyBadPercent));
    check("100%", Coding::Form, Err(Reason::KeyBadPercent));
    check("%zz", Coding::Form, Err(Reason::KeyBadPercent));
    check("%+1", Coding::Form, Err(Reason::KeyBadPercent));
    check("a%ED%A0%80b", Coding::Form, Err(Reason::KeyInvalidUtf8));
    check("%C0%AF", Coding::Form, Err(Reason::KeyInvalidUtf8));
    check("%FF", Coding::Form, Err(Reason::KeyInvalidUtf8));
    // 512 letters of two bytes are 3,072 on the wire and 1,024 decoded.
    check(&"%C3%A9".repeat(512), Coding::Form, Ok(&"é".repeat(512)));
    check(&"%C3%A9".repeat(513), Coding::Form, Err(Reason::KeyTooLong));
}

/// As Go's `url.QueryEscape` and the form serializer of URLs write it.
fn encode(key: &str, spare: fn(u8) -> bool) -> String {
    let mut text = String::new();
    for byte in key.bytes() {
        match byte {
            b' ' => text.push('+'),
            byte if byte.is_ascii_alphanumeric() || spare(byte) => text.push(char::from(byte)),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded(key in "[^\\x00]{1,200}") {
        for spare in [|b: u8| b"-_.~".contains(&b), |b: u8| b"-_.*/!()'".contains(&b)] {
            let text = encode(&key, spare);
            let decoded = decode(&text, Coding::Form, &Place::ROOT).unwrap();
            prop_assert_eq!(decoded.as_str(), &key);
        }
        let decoded = decode(&key, Coding::Plain, &Place::ROOT).unwrap();
        prop_assert_eq!(decoded.as_str(), &key);
    }

    #[test]
    fn no_text_is_too_much(text in "\\PC*|[%+0-9a-fA-F]{0,40}") {
        for coding in [Coding::Plain, Coding::Form] {
            if let Ok(key) = decode(&text, coding, &Place::ROOT) {
                prop_assert!((1..=1024).contains(&key.as_str().len()));
                prop_assert!(!key.as_str().contains('\0'));
            }
        }
    }
}
