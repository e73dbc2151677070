use super::*;

#[test]
fn only_what_the_crate_misunderstands_is_amended() {
    let check = |method: Method, name: HeaderName, value: &str, expect: bool| {
        let mut headers = HeaderMap::new();
        headers.insert(name.clone(), value.parse().unwrap());
        assert_eq!(
            is_misunderstood(&method, &headers, &name),
            expect,
            "{method} {name}: {value}"
        );
    };
    check(Method::GET, RANGE, "bytes=0-1", false);
    check(Method::GET, RANGE, "bytes=5-2", true);
    check(Method::HEAD, RANGE, "lines=1-2", true);
    check(Method::PUT, RANGE, "bytes=5-2", false);
    check(Method::PUT, COPY_SOURCE, "bucket/key", false);
    check(Method::PUT, COPY_SOURCE, "Odd_Bucket/key", true);
    check(Method::PUT, EXPIRES, "Thu, 01 Jan 1970 00:02:03 GMT", false);
    check(Method::PUT, EXPIRES, "never", true);
    check(Method::GET, IF_MODIFIED_SINCE, "yesterday", true);
}

#[test]
fn the_signature_is_taken_out_of_a_url() {
    let check = |uri: &str, expect: &str| {
        assert_eq!(unsigned(&uri.parse().unwrap()).unwrap(), expect);
    };
    check("/b/k", "/b/k");
    check(
        "/b/k?versionId=1&X-Amz-Signature=s&X-Amz-Date=d",
        "/b/k?versionId=1",
    );
    check("/b/k?AWSAccessKeyId=a&Signature=s&Expires=1", "/b/k");
    check(
        "/b/k?response-expires=1&Expires=1",
        "/b/k?response-expires=1",
    );
}
