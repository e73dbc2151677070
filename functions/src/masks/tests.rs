use proptest::prelude::*;

use super::*;

fn masks() -> Masks {
    let secrets = [
        ("TOKEN", "sesame-open"),
        ("LONG", "sesame-open-wide"),
        ("QUOTED", "a\"quote\"d"),
        ("SHORT", "short"),
    ];
    Masks::new(secrets.into_iter())
}

#[test]
fn a_secret_is_replaced_by_its_name() {
    for (text, expected) in [
        ("it is sesame-open!", "it is ***TOKEN***!"),
        ("sesame-open-wide", "***LONG***"),
        ("sesame-open-wid", "***TOKEN***-wid"),
        ("sesame-opesesame-open", "sesame-ope***TOKEN***"),
        (r#"{"it":"a\"quote\"d"}"#, r#"{"it":"***QUOTED***"}"#),
        ("a short one stays", "a short one stays"),
        ("ses", "ses"),
        ("", ""),
    ] {
        assert_eq!(masks().text(text), expected);
    }
}

proptest! {
    #[test]
    fn pieces_are_masked_as_the_whole(
        parts in prop::collection::vec("sesame|-open|-wide|a|\"quote\"|d|\\n", 0..12),
        cut in 1_usize..7,
    ) {
        let text = parts.concat();
        let (masks, mut held, mut passed) = (masks(), Vec::new(), Vec::new());
        for piece in text.as_bytes().chunks(cut) {
            held.extend_from_slice(piece);
            passed.extend(masks.pass(&mut held, false));
        }
        passed.extend(masks.pass(&mut held, true));
        prop_assert_eq!(String::from_utf8_lossy(&passed), masks.text(&text));
    }
}
