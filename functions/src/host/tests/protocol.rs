//! The Runtime API's corners, and what a process finds around itself.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::testing::*;
use crate::*;

#[tokio::test]
async fn an_invocation_carries_every_header() {
    let fixture = Fixture::new().await;
    let mut traced = invocation("respond(json.dumps(dict(headers)))");
    traced.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    let id = traced.request_id.to_string();
    let before = crate::clock::now_ms();
    let slot = fixture.slot().await;
    let headers = answer(&fixture.host.invoke(slot, traced).await);
    let header = |name: &str| {
        let found = headers
            .as_object()
            .unwrap()
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found
            .unwrap_or_else(|| panic!("no {name}: {headers}"))
            .1
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(header("lambda-runtime-aws-request-id"), id);
    let deadline: i64 = header("lambda-runtime-deadline-ms").parse().unwrap();
    assert!((before + 30_000..before + 60_000).contains(&deadline));
    assert_eq!(
        header("lambda-runtime-invoked-function-arn"),
        "arn:aws:lambda:eu-central-1:000000000000:function:scripted"
    );
    assert!(header("lambda-runtime-trace-id").starts_with("Root=1-0af76519-16cd"));
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert_eq!(header("traceparent"), traceparent);
    let context: serde_json::Value =
        serde_json::from_str(&header("lambda-runtime-client-context")).unwrap();
    assert_eq!(context, json!({ "w3c": { "traceparent": traceparent } }));
    assert_eq!(header("content-type"), "application/json");
}

#[tokio::test]
async fn late_unknown_and_double_answers_are_refused() {
    let fixture = Fixture::new().await;
    let code = "calls = []\n\
        def note(answer): calls.append([answer[0], (answer[1] or {}).get('errorType')])\n\
        note(call('POST', 'invocation/nonsense/response', '1'))\n\
        note(call('POST', 'invocation/00000000-0000-4000-8000-000000000000/response', '1'))\n\
        note(call('GET', 'invocation/next'))\n\
        note(call('POST', 'init/error', '{}'))\n\
        note(call('GET', 'nothing/here'))\n\
        note(respond('1'))\n\
        note(respond('2'))\n\
        note(fail('{}'))\n\
        print(json.dumps(calls), flush=True)";
    let outcome = fixture.run(code).await;
    assert_eq!(answer(&outcome), json!(1));
    // What it printed after its answer is no longer this invocation's, so ask.
    let slot = fixture.slot().await;
    let calls = fixture
        .host
        .invoke(slot, invocation("respond(json.dumps(calls))"))
        .await;
    assert_eq!(
        answer(&calls),
        json!([
            [400, "InvalidRequestID"],
            [400, "InvalidRequestID"],
            [403, "InvalidStateTransition"],
            [403, "InvalidStateTransition"],
            [404, "NotFound"],
            [202, null],
            [403, "InvalidStateTransition"],
            [403, "InvalidStateTransition"],
        ])
    );
}

#[tokio::test]
async fn an_answer_that_comes_too_late_changes_nothing() {
    let fixture = Fixture::new().await;
    let first = fixture.run("old = id; respond('1')").await;
    assert_eq!(answer(&first), json!(1));
    let slot = fixture.slot().await;
    let code = "status = call('POST', f'invocation/{old}/response', '9')[0]; respond(str(status))";
    assert_eq!(
        answer(&fixture.host.invoke(slot, invocation(code)).await),
        json!(400)
    );
}

#[tokio::test]
async fn the_environment_is_lambdas_and_nothing_else() {
    let fixture = Fixture::with(|spec| {
        spec.environment = environment(&[("STAGE", "dev"), ("AWS_REGION", "mars-1")]);
        spec.handler = "index.handler".to_owned();
    })
    .await;
    let outcome = fixture.run("respond(json.dumps(dict(os.environ)))").await;
    let found = answer(&outcome);
    let code = fixture.folder.path().join("code").canonicalize().unwrap();
    for (name, value) in [
        ("STAGE", "dev"),
        ("_HANDLER", "index.handler"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_DEFAULT_REGION", "eu-central-1"),
        ("AWS_LAMBDA_FUNCTION_NAME", "scripted"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/scripted"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_ACCESS_KEY_ID", "AK1"),
        ("AWS_SECRET_ACCESS_KEY", "planted-secret"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9000"),
        ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000"),
        ("LAMBDA_TASK_ROOT", code.to_str().unwrap()),
        ("TZ", ":UTC"),
    ] {
        assert_eq!(found[name], json!(value), "{name}");
    }
    let allowed = [
        "STAGE", "PATH", "LANG", "TZ", "HOME", "TMPDIR", "_HANDLER", "LC_CTYPE",
    ];
    for name in found.as_object().unwrap().keys() {
        assert!(
            allowed.contains(&name.as_str())
                || name.starts_with("AWS_")
                || name.starts_with("LAMBDA_"),
            "{name} got in"
        );
    }
}

#[tokio::test]
async fn nobody_else_reaches_a_process_own_port() {
    let fixture = Fixture::new().await;
    let outcome = fixture
        .run("respond(json.dumps(os.environ['AWS_LAMBDA_RUNTIME_API']))")
        .await;
    let address = answer(&outcome).as_str().unwrap().to_owned();
    let mut stranger = tokio::net::TcpStream::connect(&address).await.unwrap();
    let request =
        format!("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let _ = stranger.write_all(request.as_bytes()).await;
    let mut answered = Vec::new();
    let hung_up = stranger.read_to_end(&mut answered);
    let _ = tokio::time::timeout(Duration::from_secs(10), hung_up)
        .await
        .expect("is hung up on");
    assert!(
        answered.is_empty(),
        "{}",
        String::from_utf8_lossy(&answered)
    );

    // A child of the function may: a bootstrap in shell calls curl for each request.
    let slot = fixture.slot().await;
    let code = "code = 'import http.client, os; \
        c = http.client.HTTPConnection(os.environ[\"AWS_LAMBDA_RUNTIME_API\"]); \
        c.request(\"GET\", \"/x\"); print(c.getresponse().status)'\n\
        respond(subprocess.run([sys.executable, '-SEc', code], capture_output=True).stdout)";
    assert_eq!(
        answer(&fixture.host.invoke(slot, invocation(code)).await),
        json!(404)
    );
}

#[test]
fn secrets_do_not_show() {
    let storage = FakeStorage::default();
    let name = daybook_domain::FunctionName::parse("f").unwrap();
    let issued = format!("{:?}", storage.issue(&name));
    assert!(
        issued.contains("AK1") && !issued.contains("planted"),
        "{issued}"
    );
    let mut spec = FunctionSpec::new(name, Runtime::Python, "code", "a.b");
    spec.environment = environment(&[("TOKEN", "planted")]);
    let shown = format!("{spec:?}");
    assert!(
        shown.contains("TOKEN") && !shown.contains("planted"),
        "{shown}"
    );
}

/// Python: sends an answer in chunks, as the official clients stream it.
const STREAM: &str = "\
def stream(chunks, kind='application/octet-stream', trailers='', end=True):\n\
\x20   import http.client\n\
\x20   head = f'POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\\r\\nHost: x\\r\\n' \\\n\
\x20       f'Lambda-Runtime-Function-Response-Mode: streaming\\r\\nContent-Type: {kind}\\r\\n' \\\n\
\x20       'Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\\r\\n' \\\n\
\x20       'Transfer-Encoding: chunked\\r\\n\\r\\n'\n\
\x20   body = b''.join(b'%x\\r\\n%s\\r\\n' % (len(c), c) for c in chunks)\n\
\x20   api.sock.sendall(head.encode() + body)\n\
\x20   if not end: api.close(); return\n\
\x20   api.sock.sendall(b'0\\r\\n' + trailers.encode() + b'\\r\\n')\n\
\x20   answer = http.client.HTTPResponse(api.sock); answer.begin(); answer.read()\n\
\x20   return answer.status\n";

async fn streamed(fixture: &Fixture, call: &str) -> Outcome {
    fixture.run(&format!("{STREAM}{call}")).await
}

#[tokio::test]
async fn a_streamed_answer_is_gathered() {
    let fixture = Fixture::new().await;
    for (call, expect) in [
        (
            "assert stream([b'{\"a\"', b':1}']) == 202",
            json!({ "a": 1 }),
        ),
        (
            "stream([b'plain ', 'tëxt'.encode()], 'text/plain')",
            json!("plain tëxt"),
        ),
        ("stream([])", json!("")),
        (
            "stream([b'{\"statusCode\":201}', bytes(8), b'made'], \
             'application/vnd.awslambda.http-integration-response')",
            json!({ "statusCode": 201, "body": "made", "isBase64Encoded": false }),
        ),
        (
            "stream([b'{}' + bytes(8) + b'\\xff'], \
             'application/vnd.awslambda.http-integration-response')",
            json!({ "body": "/w==", "isBase64Encoded": true }),
        ),
    ] {
        assert_eq!(answer(&streamed(&fixture, call).await), expect, "{call}");
    }
}

#[tokio::test]
async fn a_stream_that_fails_or_breaks_off_is_a_failure() {
    let fixture = Fixture::new().await;
    let code = "import base64\n\
        document = base64.b64encode(b'{\"errorMessage\":\"half way\"}').decode()\n\
        stream([b'half of'], trailers=f'Lambda-Runtime-Function-Error-Type: Half\\r\\n\
        Lambda-Runtime-Function-Error-Body: {document}\\r\\n')";
    let outcome = streamed(&fixture, code).await;
    assert_eq!(
        failure(&outcome),
        ("Half".to_owned(), "half way".to_owned())
    );

    let binary = streamed(&fixture, "stream([b'\\xff'])").await;
    assert_eq!(failure(&binary).0, INVALID_RESPONSE);

    let broken = streamed(&fixture, "stream([b'half of'], end=False)").await;
    assert_eq!(failure(&broken).0, TRUNCATED_RESPONSE);
    // Its connection is gone, but not the process.
    let next = streamed(&fixture, "respond('1')").await;
    assert_eq!((answer(&next), next.report.init_ms), (json!(1), None));
}
