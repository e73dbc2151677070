//! Functions behind HTTP.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use daybook_domain::ShadowId;
use hyper::Method;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::stub::{Stub, response};
use super::*;
use crate::runtime_api::{PAYLOAD_LIMIT_BYTES, RESPONSE_LIMIT_BYTES};
use crate::testing::{answer, failure, invocation, message};
use crate::{FunctionStatus, Runtime};

fn at(url: &str, private_addresses: bool) -> RemoteSpec {
    let headers = BTreeMap::from([("x-key".to_owned(), "planted".to_owned())]);
    RemoteSpec::Http(HttpSpec {
        url: HttpUrl::parse(url).unwrap(),
        headers: HttpHeaders::parse(&headers).unwrap(),
        mode: EventMode::Binary,
        private_addresses,
    })
}

fn at_stub(stub: &Stub) -> RemoteSpec {
    at(&format!("http://{}/thumbs?size=2", stub.address), true)
}

#[tokio::test]
async fn an_event_goes_out_and_the_answer_comes_back() {
    let stub = Stub::saying(200, r#"{"done":1}"#).await;
    let fixture = Fixture::new(at_stub(&stub)).await;
    let invocation = invocation("");
    let outcome = fixture.run(invocation.clone()).await;
    assert_eq!(answer(&outcome), json!({ "done": 1 }));
    // What it read and wrote is not known, and nothing is made up.
    assert!(!outcome.report.lineage_known);
    assert!(outcome.report.written.is_empty());
    assert!(outcome.report.duration_ms.is_some());
    assert_eq!(outcome.logs, "");
    assert!(fixture.storage.calls().is_empty(), "no storage credentials");

    let [request] = &stub.seen()[..] else {
        panic!("one request");
    };
    assert_eq!(request.method(), Method::POST);
    assert_eq!(request.uri(), "/thumbs?size=2");
    assert_eq!(request.headers()["x-key"], "planted");
    assert_eq!(request.headers()["ce-specversion"], "1.0");
    assert_eq!(*request.body(), invocation.payload);
}

#[tokio::test]
async fn its_revision_says_where_it_is_and_that_the_code_is_not_known() {
    let stub = Stub::saying(200, "").await;
    let fixture = Fixture::new(at_stub(&stub)).await;
    let expected = json!({
        "runtime": "http",
        "url": format!("http://{}/thumbs?size=2", stub.address),
        "mode": "binary",
        "code": "unknown",
    });
    assert_eq!(fixture.description(), expected);
    assert!(stub.seen().is_empty(), "loading calls nobody");
}

#[tokio::test]
async fn slots_hold_and_the_status_names_the_runtime() {
    let stub = Stub::answering(|_| None).await;
    let fixture = Fixture::load(at_stub(&stub), |spec| spec.concurrency = 1).await;
    let fixture = fixture.unwrap();
    let slot = fixture.host.reserve(&fixture.name).expect("a slot");
    assert!(fixture.host.reserve(&fixture.name).is_none());
    let mut invocation = invocation("");
    invocation.timeout = Some(FOR_EVER);
    let cancel = invocation.cancel.clone();
    let running = fixture.host.invoke(slot, invocation);
    let watching = async {
        stub.asked(1).await;
        let expected = FunctionStatus {
            function: fixture.name.clone(),
            runtime: Runtime::Http,
            concurrency: 1,
            busy: 1,
            idle: 0,
            queue: FunctionSpec::QUEUE,
            failed_starts: 0,
            backing_off: None,
            last_start_failure: None,
            revision: None,
            sandbox: None,
            sandbox_lacks: Vec::new(),
        };
        assert_eq!(fixture.host.status(), [expected]);
        cancel.cancel();
    };
    let (outcome, ()) = tokio::join!(running, watching);
    let OutcomeResult::Interrupted { why } = outcome.result else {
        panic!("{outcome:?}");
    };
    assert!(
        why.contains("cancelled") && why.contains("was not stopped"),
        "{why}"
    );
    assert!(!outcome.report.lineage_known);
    assert!(fixture.host.reserve(&fixture.name).is_some());
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_given_up_and_not_called_stopped() {
    let stub = Stub::answering(|_| None).await;
    let fixture = Fixture::load(at_stub(&stub), |spec| {
        spec.timeout = Duration::from_millis(200);
    });
    let outcome = fixture.await.unwrap().run(invocation("")).await;
    let OutcomeResult::TimedOut { cause } = &outcome.result else {
        panic!("{outcome:?}");
    };
    let said = message(cause);
    assert!(said.contains("timed out after 0.20 seconds"), "{said}");
    assert!(said.contains("was not stopped"), "{said}");
}

#[tokio::test]
async fn a_shutdown_interrupts_it() {
    let stub = Stub::answering(|_| None).await;
    let fixture = Fixture::load(at_stub(&stub), |spec| spec.timeout = FOR_EVER).await;
    let fixture = fixture.unwrap();
    let ending = async {
        stub.asked(1).await;
        fixture.host.shutdown(Duration::from_millis(10)).await;
    };
    let (outcome, ()) = tokio::join!(fixture.run(invocation("")), ending);
    assert!(matches!(outcome.result, OutcomeResult::Interrupted { .. }));
    assert!(fixture.host.reserve(&fixture.name).is_none());
}

#[tokio::test]
async fn a_private_address_is_refused_where_it_is_named() {
    let refused = Fixture::load(at("http://127.0.0.1:9/", false), |_| {}).await;
    let said = refused.err().expect("it is refused").to_string();
    assert!(
        said.contains("127.0.0.1") && said.contains("private_addresses"),
        "{said}"
    );
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_refused_when_it_is_called() {
    let stub = Stub::saying(200, "").await;
    let url = format!("http://localhost:{}/", stub.address.port());
    let fixture = Fixture::new(at(&url, false)).await;
    let (error, said) = failure(&fixture.run(invocation("")).await);
    assert_eq!(error, "Daybook.AddressRefused");
    assert!(said.contains("localhost"), "{said}");
    assert!(stub.seen().is_empty());
    let fixture = Fixture::new(at(&url, true)).await;
    assert_eq!(answer(&fixture.run(invocation("")).await), Value::Null);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let stub = Stub::answering(|request| {
        let elsewhere = [("location", "/elsewhere")];
        Some(match request.uri().path() {
            "/thumbs" => response(307, &elsewhere, ""),
            _ => response(200, &[], ""),
        })
    })
    .await;
    let fixture = Fixture::new(at_stub(&stub)).await;
    let (error, said) = failure(&fixture.run(invocation("")).await);
    assert_eq!(error, "States.Http.StatusCode.307");
    assert!(said.contains("/elsewhere"), "{said}");
    assert_eq!(stub.seen().len(), 1);
}

#[tokio::test]
async fn a_connection_that_breaks_has_a_name_of_its_own() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 16]).await;
        }
    });
    let fixture = Fixture::new(at(&format!("http://{address}/"), true)).await;
    let (error, said) = failure(&fixture.run(invocation("")).await);
    assert_eq!(error, "States.Http.Socket");
    assert!(!said.is_empty());
}

#[tokio::test]
async fn sizes_are_bounded_both_ways() {
    let stub =
        Stub::answering(|_| Some(response(200, &[], vec![b' '; RESPONSE_LIMIT_BYTES + 1]))).await;
    let fixture = Fixture::new(at_stub(&stub)).await;
    let (error, _) = failure(&fixture.run(invocation("")).await);
    assert_eq!(error, "Function.ResponseSizeTooLarge");
    assert_eq!(stub.seen().len(), 1);

    let mut invocation = invocation("");
    invocation.payload = Bytes::from(vec![b' '; PAYLOAD_LIMIT_BYTES + 1]);
    let (error, _) = failure(&fixture.run(invocation).await);
    assert_eq!(error, "Lambda.RequestTooLargeException");
    assert!(stub.seen().is_empty());
}

#[tokio::test]
async fn it_does_not_run_as_a_shadow() {
    let stub = Stub::saying(200, "").await;
    let fixture = Fixture::new(at_stub(&stub)).await;
    let mut invocation = invocation("");
    invocation.shadow = Some(ShadowId::from(invocation.execution));
    let outcome = fixture.run(invocation).await;
    assert_eq!(failure(&outcome).0, "Daybook.ShadowRefused");
    assert!(outcome.report.lineage_known, "it touched nothing");
    assert!(stub.seen().is_empty());
}
