//! Functions of AWS Lambda, against a server that speaks its API.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::{Method, Request, Response};

use super::stub::{Stub, response};
use super::*;
use crate::testing::{answer, failure, invocation};

const ARN: &str = "arn:aws:lambda:eu-central-1:123456789012:function:thumbs";
const PATH: &str = "/2015-03-31/functions/\
                    arn%3Aaws%3Alambda%3Aeu-central-1%3A123456789012%3Afunction%3Athumbs";

fn at(stub: &Stub, arn: &str) -> RemoteSpec {
    RemoteSpec::Lambda(LambdaSpec {
        arn: LambdaArn::parse(arn).unwrap(),
        endpoint: Some(format!("http://{}/", stub.address)),
        profile: None,
        key: Some(("AKTEST".to_owned(), "planted-secret".to_owned())),
    })
}

/// AWS Lambda, as far as two of its operations go.
async fn lambda(
    invoke: impl Fn(&Request<Bytes>) -> Option<Response<Bytes>> + Send + Sync + 'static,
) -> Stub {
    Stub::answering(move |request| match *request.method() {
        Method::GET => Some(response(
            200,
            &[],
            r#"{"CodeSha256":"q83v","Version":"7","Handler":"x"}"#,
        )),
        _ => invoke(request),
    })
    .await
}

#[tokio::test]
async fn invoke_is_signed_and_says_what_for() {
    let stub = lambda(|_| Some(response(200, &[], "[1]"))).await;
    let fixture = Fixture::new(at(&stub, &format!("{ARN}:live"))).await;
    let description = json!({
        "runtime": "lambda", "arn": format!("{ARN}:live"),
        "code_sha256": "q83v", "version": "7", "pinned": false,
    });
    assert_eq!(fixture.description(), description);
    let invocation = invocation("");
    let outcome = fixture.run(invocation.clone()).await;
    assert_eq!(answer(&outcome), json!([1]));
    assert!(!outcome.report.lineage_known);

    let [described, request] = &stub.seen()[..] else {
        panic!("two requests");
    };
    assert_eq!(
        described.uri().to_string(),
        format!("{PATH}/configuration?Qualifier=live")
    );
    assert_eq!(
        request.uri().to_string(),
        format!("{PATH}/invocations?Qualifier=live")
    );
    assert_eq!(request.method(), Method::POST);
    assert_eq!(*request.body(), invocation.payload);
    let header = |name: &str| request.headers()[name].to_str().unwrap();
    assert_eq!(header("x-amz-invocation-type"), "RequestResponse");
    assert_eq!(header("x-amz-log-type"), "Tail");
    assert!(header("x-amzn-trace-id").starts_with("Root=1-"));
    let signature = header("authorization");
    assert!(
        signature.starts_with("AWS4-HMAC-SHA256 Credential=AKTEST/"),
        "{signature}"
    );
    assert!(
        signature.contains("/eu-central-1/lambda/aws4_request"),
        "{signature}"
    );
    assert!(signature.contains("x-amz-client-context;"), "{signature}");
    assert!(!format!("{request:?}").contains("planted-secret"));
    let context = STANDARD.decode(header("x-amz-client-context")).unwrap();
    let context: Value = serde_json::from_slice(&context).unwrap();
    assert_eq!(
        context["custom"]["daybook-execution"],
        invocation.execution.to_string()
    );
}

#[tokio::test]
async fn logs_and_figures_become_the_attempts() {
    let stub = lambda(|_| {
        let logs =
            "aGVsbG8KUkVQT1JUIFJlcXVlc3RJZDogMQlEdXJhdGlvbjogNyBtcwlNYXggTWVtb3J5IFVzZWQ6IDY0IE1C";
        Some(response(200, &[("x-amz-log-result", logs)], "null"))
    })
    .await;
    let fixture = Fixture::new(at(&stub, ARN)).await;
    let outcome = fixture.run(invocation("")).await;
    assert!(
        outcome.logs.starts_with("hello\nREPORT "),
        "{}",
        outcome.logs
    );
    assert_eq!(outcome.report.duration_ms, Some(7));
    assert_eq!(outcome.report.max_memory_bytes, Some(64 << 20));
    assert_eq!(outcome.report.init_ms, None);
}

#[tokio::test]
async fn each_kind_of_failure_has_its_name_and_nothing_is_sent_twice() {
    let stub = lambda(|request| {
        let header = [("x-amz-function-error", "Unhandled")];
        let throttled = [("x-amzn-errortype", "TooManyRequestsException:http://x/")];
        Some(match &request.body()[..] {
            b"1" => response(
                200,
                &header,
                r#"{"errorType":"OutOfInk","errorMessage":"m"}"#,
            ),
            b"2" => response(429, &throttled, r#"{"message":"Rate Exceeded."}"#),
            _ => response(500, &[], "{}"),
        })
    })
    .await;
    let fixture = Fixture::new(at(&stub, &format!("{ARN}:7"))).await;
    assert_eq!(fixture.description()["pinned"], true);
    stub.seen();
    for (payload, name) in [
        ("1", "OutOfInk"),
        ("2", "Lambda.TooManyRequestsException"),
        ("3", "Lambda.ServiceException"),
    ] {
        let mut invocation = invocation("");
        invocation.payload = Bytes::from_static(payload.as_bytes());
        assert_eq!(failure(&fixture.run(invocation).await).0, name);
        assert_eq!(stub.seen().len(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_function_that_does_not_exist_is_found_out_when_it_is_loaded() {
    let stub = Stub::answering(|_| {
        let missing = [("x-amzn-errortype", "ResourceNotFoundException")];
        Some(response(
            404,
            &missing,
            r#"{"Message":"Function not found: thumbs"}"#,
        ))
    })
    .await;
    let refused = Fixture::load(at(&stub, ARN), |_| {}).await;
    let said = refused.err().expect("it is refused").to_string();
    assert!(
        said.contains(ARN) && said.contains("Function not found"),
        "{said}"
    );
}

#[tokio::test]
async fn code_that_may_not_be_asked_for_is_unknown() {
    let stub = Stub::answering(|request| {
        let denied = [("x-amzn-errortype", "AccessDeniedException")];
        Some(match *request.method() {
            Method::GET => response(403, &denied, "{}"),
            _ => response(200, &[], "null"),
        })
    })
    .await;
    let fixture = Fixture::new(at(&stub, ARN)).await;
    let description = json!({ "runtime": "lambda", "arn": ARN, "code": "unknown" });
    assert_eq!(fixture.description(), description);
    assert_eq!(answer(&fixture.run(invocation("")).await), Value::Null);
}

#[tokio::test]
async fn without_a_service_there_is_a_client_error() {
    let stub = Stub::saying(200, "").await;
    let mut target = at(&stub, ARN);
    if let RemoteSpec::Lambda(lambda) = &mut target {
        // A name that is nobody's (RFC 2606).
        lambda.endpoint = Some("http://nobody.invalid".to_owned());
    }
    let fixture = Fixture::new(target).await;
    assert_eq!(fixture.description()["code"], "unknown");
    let (error, said) = failure(&fixture.run(invocation("")).await);
    assert_eq!(error, "Lambda.SdkClientException");
    assert!(!said.contains("planted-secret"), "{said}");
}
