use super::*;

#[test]
fn an_arn_is_taken_apart() {
    let arn = LambdaArn::parse("arn:aws:lambda:eu-central-1:123456789012:function:thumbs").unwrap();
    assert_eq!(arn.region, "eu-central-1");
    assert_eq!(arn.qualifier, None);
    assert!(!arn.is_version());
    let endpoint = "https://lambda.eu-central-1.amazonaws.com";
    assert_eq!(arn.endpoint().as_deref(), Some(endpoint));

    for (qualifier, is_version) in [("7", true), ("live", false), ("$LATEST", false)] {
        let text = format!("arn:aws-cn:lambda:cn-north-1:123456789012:function:thumbs:{qualifier}");
        let arn = LambdaArn::parse(&text).unwrap();
        assert_eq!(arn.qualifier.as_deref(), Some(qualifier));
        assert_eq!(arn.is_version(), is_version);
        assert_eq!(arn.to_string(), text);
        let endpoint = "https://lambda.cn-north-1.amazonaws.com.cn";
        assert_eq!(arn.endpoint().as_deref(), Some(endpoint));
    }
}

#[test]
fn what_is_no_arn_of_a_function_is_refused() {
    for text in [
        "",
        "thumbs",
        "arn:aws:s3:::bucket",
        "arn:aws:lambda:eu-central-1:123456789012:layer:thumbs",
        "arn:aws:lambda:eu-central-1:123456789012:function:",
        "arn:aws:lambda::123456789012:function:thumbs",
        "arn:aws:lambda:eu-central-1:123456789012:function:thumbs:1:2",
        "arn:aws:lambda:evil.example/#:123456789012:function:thumbs",
        "arn:aws:lambda:eu-central-1:123456789012:function:a/../b",
    ] {
        let error = LambdaArn::parse(text).expect_err(text).to_string();
        assert!(
            error.contains("arn:aws:lambda:REGION:ACCOUNT:function:NAME"),
            "{error}"
        );
    }
}

#[test]
fn a_url_is_http_without_secrets() {
    for text in [
        "https://functions.example/thumbs",
        "http://10.0.0.1:8080/",
        "http://[::1]:8080/x?functionName=thumbs",
    ] {
        assert_eq!(HttpUrl::parse(text).expect(text).as_str(), text);
    }
    for (text, what) in [
        ("", "URL"),
        ("/path", "with a host"),
        ("ftp://functions.example/", "neither https://"),
        ("functions.example/path", "URL"),
        ("https://user:secret@functions.example/", "password"),
        ("https://functions.example/#x", "fragment"),
        (
            "https://functions.example/?a=b&Code=secret",
            "x-functions-key",
        ),
    ] {
        let error = HttpUrl::parse(text).expect_err(text).to_string();
        assert!(error.contains(what), "{text}: {error}");
        assert!(
            !error.contains("secret@") && !error.contains("=secret"),
            "{error}"
        );
    }
}

#[test]
fn headers_that_are_ours_are_refused_and_values_are_not_told() {
    let parse = |name: &str, value: &str| {
        HttpHeaders::parse(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
    };
    let headers = parse("X-Functions-Key", "planted-secret").unwrap();
    assert_eq!(headers.names(), ["x-functions-key"]);
    assert!(headers.0[0].1.is_sensitive());
    for (name, value) in [
        ("ce-id", "planted-secret"),
        ("Content-Type", "planted-secret"),
        ("Host", "planted-secret"),
        ("two words", "planted-secret"),
        ("x-key", "planted-secret\r\nx-evil: 1"),
    ] {
        let error = parse(name, value).err().expect(name).to_string();
        assert!(
            error.contains(name) && !error.contains("planted"),
            "{error}"
        );
    }
    let spec = HttpSpec {
        url: HttpUrl::parse("https://functions.example/").unwrap(),
        headers,
        mode: EventMode::Binary,
        private_addresses: false,
    };
    assert!(!format!("{spec:?}").contains("planted"));
}
