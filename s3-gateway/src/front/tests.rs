use super::*;

/// What becomes of a request with these headers: the code of the refusal, or none.
#[track_caller]
fn check_head(uri: &str, headers: &[(&str, &str)], expect: Option<&str>) {
    let mut request = hyper::Request::builder().uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    let refused = check(&mut parts).err();
    let code = refused.as_ref().map(|error| error.code().as_str());
    assert_eq!(code, expect, "{uri} {headers:?}");
}

const SOUND: &str = "AWS4-HMAC-SHA256 Credential=AK/20261125/us-east-1/s3/aws4_request, \
                     SignedHeaders=host;x-amz-date, Signature=00";
const DATE: (&str, &str) = ("x-amz-date", "20261125T000000Z");

#[test]
fn version_4_in_the_header() {
    let check = |authorization: &str, more: &[(&str, &str)], expect| {
        let mut headers = vec![("authorization", authorization)];
        headers.extend(more);
        check_head("/b/k", &headers, expect);
    };
    check(SOUND, &[DATE], None);
    check(SOUND, &[], Some("AccessDenied"));
    check(SOUND, &[("x-amz-date", "Bad Date")], Some("AccessDenied"));
    check(SOUND, &[DATE, ("x-amz-meta-a", "1")], Some("AccessDenied"));
    check(SOUND, &[DATE, ("x-amz-content-sha256", "x")], None);
    check(SOUND, &[DATE, ("x-other", "1")], None);
    let malformed = Some("AuthorizationHeaderMalformed");
    check("AWS4-HMAC-SHA256 Credential=HAHAHA", &[DATE], malformed);
    check(&SOUND.replace("Signature=", "S="), &[DATE], malformed);
    check(&SOUND.replace("us-east-1", "US"), &[DATE], malformed);
    check("AWS4 HAHAHA", &[DATE], Some("InvalidArgument"));
    check("", &[], None);
}

#[test]
fn version_2_has_a_date_that_can_be_read() {
    let check = |date: &str, expect| {
        let headers = [("authorization", "AWS AK:x"), ("x-amz-date", date)];
        check_head("/b", &headers, expect);
    };
    let skewed = Some("RequestTimeTooSkewed");
    check("Tue, 07 Jul 2010 21:53:04 GMT", skewed);
    check("Tue, 07 Jul 9999 21:53:04 +0000", skewed);
    check("Tue, 07 Jul 1950 21:53:04 GMT", Some("AccessDenied"));
    check("Bad Date", Some("AccessDenied"));
    check_head("/b", &[("authorization", "AWS AK:x")], Some("AccessDenied"));
    check_head(
        "/b",
        &[("authorization", "AWS AK")],
        Some("InvalidArgument"),
    );
}

#[test]
fn a_bucket_ends_with_a_slash_for_version_2() {
    let check = |uri: &str, expect: &str| {
        let mut uri: Uri = uri.parse().unwrap();
        with_slash(&mut uri);
        assert_eq!(uri, expect);
    };
    check("/b", "/b/");
    check("/b?prefix=a/b", "/b/?prefix=a/b");
    check("/b/", "/b/");
    check("/b/k", "/b/k");
    check("/", "/");
}

#[test]
fn signing_in_the_query() {
    const SIGNED: &str = "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=c&X-Amz-Date=d\
                          &X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-amz-tagging&X-Amz-Signature=s";
    let wrong = Some("AccessDenied");
    check_head(SIGNED, &[], None);
    check_head(SIGNED, &[("x-amz-tagging", "a=b")], None);
    check_head(
        SIGNED,
        &[("x-amz-copy-source", "b/k")],
        Some("AccessDenied"),
    );
    check_head(&SIGNED.replace("=60", "=604801"), &[], wrong);
    check_head(&SIGNED.replace("=60", "=-1"), &[], wrong);
    check_head(&SIGNED.replace("X-Amz-Expires=60&", ""), &[], wrong);
    check_head(
        SIGNED,
        &[("authorization", SOUND), DATE],
        Some("InvalidArgument"),
    );
}

#[test]
fn an_md5_has_sixteen_bytes() {
    for (md5, expect) in [
        ("rL0Y20xC+Fzt72VPzMSk2A==", None),
        ("YWJyYWNhZGFicmE=", Some("InvalidDigest")),
        ("AWS HAHAHA", Some("InvalidDigest")),
        ("", Some("InvalidDigest")),
    ] {
        check_head("/b/k", &[("content-md5", md5)], expect);
    }
}

#[test]
fn an_error_gets_its_ids_once() {
    let told = with_ids(b"<Error><Code>X</Code></Error>", "/b/<k>", "R", "H").unwrap();
    let expect = "<Error><Code>X</Code><Resource>/b/&lt;k&gt;</Resource><RequestId>R</RequestId>\
                  <HostId>H</HostId></Error>";
    assert_eq!(told, expect);
    assert_eq!(with_ids(b"<Other/>", "/", "R", "H"), None);
}

#[test]
fn a_malformed_signature_is_told_the_region() {
    let document = b"<Error><Code>AuthorizationHeaderMalformed</Code></Error>";
    let told = with_region(document, "eu-1").unwrap();
    assert!(told.ends_with("<Region>eu-1</Region></Error>"), "{told}");
    assert_eq!(
        with_region(b"<Error><Code>Other</Code></Error>", "eu-1"),
        None
    );
}
