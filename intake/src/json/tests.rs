use super::*;

#[track_caller]
fn check(text: &str, expect: Result<Json<'_>, (Reason, &str)>) {
    let found = parse(text.as_bytes(), &Limits::default(), &Place::ROOT);
    let found = found.map_err(|rejection| (rejection.reason, rejection.place));
    assert_eq!(
        found,
        expect.map_err(|(reason, place)| (reason, place.to_owned()))
    );
}

#[test]
fn numbers_keep_what_sizes_need() {
    check("18446744073709551615", Ok(Json::Whole(u64::MAX)));
    check("0", Ok(Json::Whole(0)));
    check("-3", Ok(Json::Negative));
    check("2.5", Ok(Json::Fraction(2.5)));
    check(
        "18446744073709551616",
        Ok(Json::Fraction(18_446_744_073_709_551_616.0)),
    );
}

#[test]
fn a_member_twice_is_named_with_its_place() {
    let twice = Reason::DuplicateMember;
    check(r#"{"a":1,"a":1}"#, Err((twice, "$")));
    check(
        r#"{"a":{"b":[0,{"c":1,"\u0063":2}]}}"#,
        Err((twice, r#"$."a"."b"[1]"#)),
    );
    let mut many: String = (0..100).map(|n| format!("\"m{n}\":{n},")).collect();
    check(
        &format!("{{{many}\"z\":0}}"),
        Ok(parse(
            format!("{{{many}\"z\":0}}").as_bytes(),
            &Limits::default(),
            &Place::ROOT,
        )
        .unwrap()),
    );
    many.push_str("\"m7\":0");
    check(&format!("{{{many}}}"), Err((twice, "$")));
}

#[test]
fn what_is_not_json_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "[1,]",
        "{'a':1}",
        "NaN",
        "[1] 2",
        "\u{feff}{}",
        r#""\ud800""#,
        "\"a\nb\"",
        "01",
    ] {
        check(text, Err((Reason::JsonSyntax, "$")));
    }
    let broken = parse(b"[\"\xff\"]", &Limits::default(), &Place::ROOT).unwrap_err();
    assert_eq!(broken.reason, Reason::InvalidUtf8);
    assert_eq!(broken.sentence, "it is not UTF-8 from byte 2 on");
}

#[test]
fn depth_and_values_are_bounded() {
    let most = Limits::default().max_depth;
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(parse(nested(most).as_bytes(), &Limits::default(), &Place::ROOT).is_ok());
    check(&nested(most + 1), Err((Reason::TooDeep, "$")));
    check(&nested(10_000), Err((Reason::TooDeep, "$")));
    check(&"[".repeat(10_000_000), Err((Reason::TooDeep, "$")));
    check(&r#"{"a":"#.repeat(10_000), Err((Reason::TooDeep, "$")));
    let limits = Limits {
        max_values: 3,
        ..Limits::default()
    };
    assert!(parse(b"[1,2]", &limits, &Place::ROOT).is_ok());
    let refused = parse(b"[1,2,3]", &limits, &Place::ROOT).unwrap_err();
    assert_eq!(refused.reason, Reason::TooLarge);
}

#[test]
fn documents_may_follow_each_other() {
    let each = |text: &str| {
        let read = parse_each(text.as_bytes(), &Limits::default(), &Place::ROOT);
        let words = read.unwrap().into_iter().map(|document| match document {
            Ok(Json::Whole(number)) => number.to_string(),
            Ok(other) => format!("{other:?}"),
            Err(rejection) => rejection.reason.to_string(),
        });
        words.collect::<Vec<_>>()
    };
    assert_eq!(each(" 1\n\n2 \n"), ["1", "2"]);
    assert_eq!(each(" \n"), Vec::<String>::new());
    assert_eq!(each("1 { 2"), ["1", "json-syntax"]);
    assert_eq!(each(r#"1 {"a":1,"a":1} 2"#), ["1", "duplicate-member", "2"]);
    let deep = format!("1 {}{} 2", "[".repeat(100), "]".repeat(100));
    assert_eq!(each(&deep), ["1", "too-deep", "2"]);
    let deep = format!("1 {}", "[".repeat(1_000_000));
    assert_eq!(each(&deep), ["1", "json-syntax"]);
    // A parser that looks where it is in the text for each of them never comes to the end.
    assert_eq!(each(&"1 ".repeat(500_000)).len(), 500_000);
}

#[test]
fn texts_without_escapes_are_not_copied() {
    let document = parse(br#"{"a":"b","c":"\n"}"#, &Limits::default(), &Place::ROOT).unwrap();
    let Json::Object(object) = &document else {
        panic!("{document:?}")
    };
    assert!(matches!(
        object.get("a"),
        Some(Json::Text(Cow::Borrowed("b")))
    ));
    assert!(matches!(object.get("c"), Some(Json::Text(Cow::Owned(_)))));
}
