use hyper::header::HeaderMap;

use super::*;

fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Called {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
        .collect();
    called(&Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers,
        body: Bytes::copy_from_slice(body.as_bytes()),
    })
}

#[track_caller]
fn failure(called: Called) -> (String, Value) {
    match called.result {
        OutcomeResult::Failed { error, cause } => (error, serde_json::from_str(&cause).unwrap()),
        result => panic!("did not fail: {result:?}"),
    }
}

#[test]
fn an_answer_has_its_logs_and_figures() {
    let logs = "START\nhello\nREPORT RequestId: 1\tDuration: 5.1 ms\tMax Memory Used: 64 MB\t";
    let called = answer(
        200,
        &[
            ("x-amz-log-result", &STANDARD.encode(logs)),
            ("x-amz-executed-version", "7"),
        ],
        r#"{"done":true}"#,
    );
    assert_eq!(
        called.result,
        OutcomeResult::Succeeded(json!({ "done": true }))
    );
    let with_version = format!("{logs}\n[daybook] AWS Lambda ran version 7\n");
    assert_eq!(called.logs, with_version);
    assert_eq!(called.figures.duration_ms, Some(6));
    assert_eq!(called.figures.max_memory_bytes, Some(64 << 20));
}

#[test]
fn an_empty_answer_is_null_and_another_must_be_json() {
    let succeeded = answer(200, &[], "").result;
    assert_eq!(succeeded, OutcomeResult::Succeeded(Value::Null));
    let (error, _) = failure(answer(200, &[], "not JSON"));
    assert_eq!(error, "Runtime.InvalidResponse");
}

#[test]
fn what_the_function_reports_is_reported_as_it_is() {
    let check = |kind: &str, body: &str, name: &str, message: &str| {
        let (error, cause) = failure(answer(200, &[("x-amz-function-error", kind)], body));
        assert_eq!(error, name);
        assert_eq!(cause["errorMessage"], message);
    };
    check(
        "Handled",
        r#"{"errorType":"OutOfInk","errorMessage":"no ink left","trace":["at index.mjs"]}"#,
        "OutOfInk",
        "no ink left",
    );
    check(
        "Unhandled",
        r#"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: 1 Error: Task timed out after 3.00 seconds"}"#,
        "Sandbox.Timedout",
        "RequestId: 1 Error: Task timed out after 3.00 seconds",
    );
    // Older regions give a time-out no type.
    check(
        "Unhandled",
        r#"{"errorMessage":"1 Task timed out after 3.00 seconds"}"#,
        "Lambda.Unknown",
        "1 Task timed out after 3.00 seconds",
    );
}

#[test]
fn what_the_service_says_is_named_as_step_functions_names_it() {
    let check = |status: u16, header: Option<&str>, body: &str, name: &str, message: &str| {
        let headers: Vec<_> = header
            .map(|it| ("x-amzn-errortype", it))
            .into_iter()
            .collect();
        let (error, cause) = failure(answer(status, &headers, body));
        assert_eq!(error, name);
        assert_eq!(cause["errorMessage"], message);
    };
    check(
        429,
        Some("TooManyRequestsException"),
        r#"{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}"#,
        "Lambda.TooManyRequestsException",
        "Rate Exceeded. (ReservedFunctionConcurrentInvocationLimitExceeded)",
    );
    check(
        500,
        Some("ServiceException:http://internal.amazon.com/coral/com.amazonaws.lambda/"),
        r#"{"Message":"An error occurred"}"#,
        "Lambda.ServiceException",
        "An error occurred",
    );
    for name in [
        "EC2ThrottledException",
        "ResourceNotReadyException",
        "KMSDisabledException",
    ] {
        check(
            502,
            Some(name),
            r#"{"message":"m"}"#,
            &format!("Lambda.{name}"),
            "m",
        );
    }
    let typed = r#"{"__type":"com.amazonaws#AccessDeniedException","message":"no"}"#;
    check(403, None, typed, "Lambda.AccessDeniedException", "no");
    check(
        503,
        None,
        "<html>",
        "Lambda.ServiceException",
        "the service answered 503 Service Unavailable",
    );
    check(
        400,
        None,
        "",
        "Lambda.AWSLambdaException",
        "the service answered 400 Bad Request",
    );
}
