//! What comes of invocations that go well, and of those that go wrong in any way.

use std::time::Duration;

use serde_json::json;

use crate::testing::*;
use crate::*;

#[tokio::test]
async fn success_carries_answer_report_and_logs() {
    let fixture = Fixture::new().await;
    let code = "print('hello'); print('beware', file=sys.stderr); sys.stdout.flush(); \
                respond(json.dumps({'n': 1}))";
    let outcome = fixture.run(code).await;
    assert_eq!(answer(&outcome), json!({ "n": 1 }));
    assert!(outcome.logs.contains("hello\n") && outcome.logs.contains("beware\n"));
    let report = &outcome.report;
    assert_eq!(report.written, [FakeStorage::written()]);
    assert!(report.lineage_known);
    assert!(report.duration_ms.is_some() && report.init_ms.is_some());
    assert!(report.max_memory_bytes.unwrap() > 1 << 20);
    assert_eq!(
        fixture.storage.calls(),
        ["issue AK1", "begin AK1", "end AK1"]
    );
}

#[tokio::test]
async fn an_error_is_reported_as_the_function_gave_it() {
    let fixture = Fixture::new().await;
    let code = "fail(json.dumps({'errorType': 'ValueError', 'errorMessage': 'bad row 7', \
                'stackTrace': ['a', 'b']}))";
    let outcome = fixture.run(code).await;
    let OutcomeResult::Failed { error, cause } = &outcome.result else {
        panic!("{outcome:?}")
    };
    assert_eq!(error, "ValueError");
    let cause: serde_json::Value = serde_json::from_str(cause).unwrap();
    assert_eq!(cause["stackTrace"], json!(["a", "b"]));
    // The process is still good.
    let again = fixture.slot().await;
    let outcome = fixture.host.invoke(again, invocation("respond('1')")).await;
    assert_eq!((answer(&outcome), outcome.report.init_ms), (json!(1), None));
}

#[tokio::test]
async fn an_unnamed_error_takes_its_name_from_the_header_or_is_unknown() {
    let fixture = Fixture::new().await;
    let header = "fail('oops', {'Lambda-Runtime-Function-Error-Type': 'Custom.Oops'})";
    assert_eq!(
        failure(&fixture.run(header).await),
        ("Custom.Oops".into(), "oops".into())
    );
    let slot = fixture.slot().await;
    let outcome = fixture.host.invoke(slot, invocation("fail('')")).await;
    assert_eq!(failure(&outcome).0, FUNCTION_UNKNOWN);
}

#[tokio::test]
async fn a_huge_error_document_is_shortened_but_stays_json() {
    let fixture = Fixture::new().await;
    let code = "fail(json.dumps({'errorType': 'Big', 'errorMessage': 'x' * 1000000}))";
    let (error, message) = failure(&fixture.run(code).await);
    assert_eq!(error, "Big");
    assert!(message.starts_with("xxx") && message.len() < 10_000);
}

#[tokio::test]
async fn an_exit_fails_the_invocation_at_once() {
    let fixture = Fixture::new().await;
    let outcome = fixture.run("print('last words'); sys.exit(1)").await;
    let (error, message) = failure(&outcome);
    assert_eq!(error, RUNTIME_EXIT);
    assert!(
        message.ends_with(" Error: Runtime exited with error: exit status 1"),
        "{message}"
    );
    assert!(message.starts_with("RequestId: "));
    assert_eq!(written(&outcome), "last words\n");
    assert_eq!(
        fixture.storage.calls(),
        ["issue AK1", "begin AK1", "end AK1", "revoke AK1"]
    );

    let (_, message) = failure(&fixture.run("os._exit(0)").await);
    assert!(
        message.ends_with("Runtime exited without providing a reason"),
        "{message}"
    );
    let (error, message) = failure(&fixture.run("os.kill(os.getpid(), 11)").await);
    assert_eq!(error, RUNTIME_CRASH);
    assert!(message.ends_with("signal: segmentation fault"), "{message}");
}

#[tokio::test]
async fn a_time_out_fences_first_and_then_kills_the_whole_group() {
    let fixture = Fixture::with(|spec| spec.timeout = Duration::from_millis(700)).await;
    let pid_file = fixture.folder.path().join("grandchild");
    *fixture.storage.watch.lock().unwrap() = Some(pid_file.clone());
    let code = format!(
        "child = subprocess.Popen(['sleep', '600']); \
         open({pid_file:?}, 'w').write(str(child.pid)); print('waiting', flush=True); \
         time.sleep(600)"
    );
    let outcome = fixture.run(&code).await;
    let OutcomeResult::TimedOut { cause } = &outcome.result else {
        panic!("{outcome:?}")
    };
    assert!(
        message(cause).ends_with("Task timed out after 0.70 seconds"),
        "{cause}"
    );
    assert!(written(&outcome).starts_with("waiting\n"));
    assert!(outcome.report.duration_ms.unwrap() >= 700);
    assert_eq!(
        fixture.storage.calls(),
        [
            "issue AK1",
            "begin AK1",
            "end AK1 alive",
            "revoke AK1 alive"
        ]
    );
    until("the grandchild is gone", || !is_alive(&pid_file)).await;
    // And it goes on with a new process.
    assert_eq!(answer(&fixture.run("respond('2')").await), json!(2));
}

#[tokio::test]
async fn an_invocation_may_have_its_own_time_out() {
    let fixture = Fixture::new().await;
    let slot = fixture.slot().await;
    let mut short = invocation("time.sleep(600)");
    short.timeout = Some(Duration::from_millis(50));
    let outcome = fixture.host.invoke(slot, short).await;
    assert!(
        matches!(outcome.result, OutcomeResult::TimedOut { .. }),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn the_shorter_of_both_time_outs_holds() {
    let fixture = Fixture::with(|spec| spec.timeout = Duration::from_millis(300)).await;
    for (own, seconds) in [(Some(60_000), "0.30"), (Some(100), "0.10"), (None, "0.30")] {
        let slot = fixture.slot().await;
        let mut limited = invocation("time.sleep(600)");
        limited.timeout = own.map(Duration::from_millis);
        let outcome = fixture.host.invoke(slot, limited).await;
        let OutcomeResult::TimedOut { cause } = &outcome.result else {
            panic!("{outcome:?}")
        };
        let end = format!("timed out after {seconds} seconds");
        assert!(message(cause).ends_with(&end), "{cause}");
    }
}

#[tokio::test]
async fn the_lineage_of_cut_off_lists_is_not_known() {
    let fixture = Fixture::new().await;
    let cut = &fixture.storage.truncated;
    cut.store(true, std::sync::atomic::Ordering::Relaxed);
    let outcome = fixture.run("respond('1')").await;
    assert!(!outcome.report.lineage_known);
    // What is known of it is reported all the same.
    assert_eq!(outcome.report.written, [FakeStorage::written()]);
    cut.store(false, std::sync::atomic::Ordering::Relaxed);
    assert!(fixture.run("respond('1')").await.report.lineage_known);
}

#[tokio::test]
async fn output_of_any_size_neither_blocks_nor_grows() {
    let fixture = Fixture::new().await;
    let code = "sys.stdout.write('a' * 5000000); sys.stdout.write('the end'); \
                sys.stdout.flush(); respond('null')";
    let outcome = fixture.run(code).await;
    assert_eq!(answer(&outcome), json!(null));
    assert!(written(&outcome).starts_with("aaa") && written(&outcome).ends_with("the end\n"));
    assert!(outcome.logs.contains(" bytes dropped "));
    assert!(outcome.logs.len() < LOG_LIMIT_BYTES + 500);
}

#[tokio::test]
async fn a_response_that_is_not_json_has_its_own_error() {
    let fixture = Fixture::new().await;
    let outcome = fixture.run("assert respond('<html>')[0] == 202").await;
    assert_eq!(failure(&outcome).0, INVALID_RESPONSE);
    let slot = fixture.slot().await;
    let empty = fixture.host.invoke(slot, invocation("respond('')")).await;
    assert_eq!(answer(&empty), json!(null));
}

#[tokio::test]
async fn a_response_of_seven_megabytes_is_refused() {
    let fixture = Fixture::new().await;
    let code = "status, body, _ = respond('\"' + 'a' * 7000000 + '\"'); \
                print(status, body['errorType'], flush=True)";
    let outcome = fixture.run(code).await;
    let (error, message) = failure(&outcome);
    assert_eq!(error, RESPONSE_TOO_LARGE);
    assert!(message.contains("6291556 bytes"));
    // It is told so, and goes on.
    let slot = fixture.slot().await;
    let most = "respond('\"' + 'a' * (6291556 - 2) + '\"')";
    let outcome = fixture.host.invoke(slot, invocation(most)).await;
    assert_eq!(answer(&outcome).as_str().unwrap().len(), 6_291_554);
    assert_eq!(outcome.report.init_ms, None);
}

#[tokio::test]
async fn an_event_of_seven_megabytes_is_refused() {
    let fixture = Fixture::new().await;
    let outcome = fixture.run(&"#".repeat(7_000_000)).await;
    assert_eq!(failure(&outcome).0, PAYLOAD_TOO_LARGE);
    assert!(fixture.storage.calls().is_empty());
}

#[tokio::test]
async fn a_start_that_fails_says_how() {
    let init = |code: &'static str| {
        Fixture::with(move |spec| {
            spec.environment = environment(&[("INIT", code)]);
            spec.init_timeout = Duration::from_secs(2);
        })
    };
    let reported = init(
        "call('POST', 'init/error', json.dumps({'errorType': 'Runtime.ImportModuleError', \
         'errorMessage': 'no such module'})); sys.exit(1)",
    )
    .await;
    let outcome = reported.run("").await;
    assert_eq!(
        failure(&outcome),
        ("Runtime.ImportModuleError".into(), "no such module".into())
    );

    let exits = init("print('no config', flush=True); sys.exit(3)").await;
    let outcome = exits.run("").await;
    let (error, message) = failure(&outcome);
    assert_eq!(error, INIT_ERROR);
    assert!(message.ends_with("exit status 3"), "{message}");
    assert!(
        outcome
            .logs
            .starts_with("no config\nINIT_REPORT Init Duration: ")
    );
    assert_eq!(exits.storage.calls(), ["issue AK1", "revoke AK1"]);

    let hangs = init("time.sleep(600)").await;
    let outcome = hangs.run("").await;
    assert_eq!(failure(&outcome).0, INIT_TIMEOUT);
}

#[tokio::test]
async fn a_program_that_cannot_be_started_says_so() {
    let fixture = Fixture::new().await;
    let code = fixture.folder.path().join("code");
    std::fs::write(code.join("bootstrap"), "#!/no/such/program\n").unwrap();
    let spec = FunctionSpec::new(fixture.name.clone(), Runtime::Provided, code, "");
    fixture.host.load(spec).await.unwrap();
    assert_eq!(failure(&fixture.run("").await).0, INVALID_ENTRYPOINT);
    let calls = fixture.storage.calls();
    assert_eq!(calls, ["issue AK1", "revoke AK1"]);
}

#[tokio::test]
async fn the_log_has_lambdas_lines_and_the_report_their_figures() {
    let fixture = Fixture::with(|spec| {
        spec.timeout = Duration::from_millis(300);
        spec.environment = environment(&[("INIT", "print('up', flush=True)")]);
    })
    .await;
    let cold = fixture.run("print('here', flush=True); respond('1')").await;
    let id = cold.report.request_id.unwrap();
    let lines: Vec<_> = cold.logs.lines().collect();
    let [up, start, here, end, report] = lines.as_slice() else {
        panic!("{}", cold.logs)
    };
    assert_eq!((*up, *here), ("up", "here"));
    assert_eq!(*start, format!("START RequestId: {id} Version: $LATEST"));
    assert_eq!(*end, format!("END RequestId: {id}"));
    let billed = cold.report.billed_ms.unwrap();
    let begins = format!("REPORT RequestId: {id}\tDuration: ");
    let middle =
        format!(" ms\tBilled Duration: {billed} ms\tMemory Size: 256 MB\tMax Memory Used: ");
    assert!(
        report.starts_with(&begins) && report.contains(&middle),
        "{report}"
    );
    assert!(report.contains("\tInit Duration: "), "{report}");
    assert!(billed >= cold.report.init_ms.unwrap() + cold.report.duration_ms.unwrap());
    assert_eq!(cold.report.memory_bytes, Some(256 << 20));

    let warm = fixture.run("respond('1')").await;
    assert!(warm.logs.starts_with("START ") && !warm.logs.contains("Init Duration"));
    let late = fixture.run("time.sleep(600)").await;
    assert!(
        late.logs
            .contains("Task timed out after 0.30 seconds\nEND ")
    );
    assert!(
        late.logs.trim_end().ends_with("\tStatus: timeout"),
        "{}",
        late.logs
    );
    let failed = fixture.run("fail(json.dumps({'errorType': 'Odd'}))").await;
    assert!(
        failed
            .logs
            .trim_end()
            .ends_with("\tStatus: error\tError Type: Odd")
    );
}

#[tokio::test]
async fn a_running_attempt_can_be_followed_and_secrets_stay_out_of_it() {
    let fixture = Fixture::with(|spec| {
        let secret = "sesame-open".to_owned().into();
        spec.secrets.insert("TOKEN".to_owned(), secret);
    })
    .await;
    let gate = fixture.folder.path().join("gate");
    let code = format!(
        "print('it is ' + os.environ['TOKEN'], flush=True)\n\
         while not os.path.exists({gate:?}): time.sleep(0.01)\n\
         fail(json.dumps({{'errorType': 'Told', 'errorMessage': os.environ['TOKEN']}}))"
    );
    let slot = fixture.slot().await;
    let invocation = invocation(&code);
    let execution = invocation.execution;
    let (host, other) = (fixture.host.clone(), fixture.host.clone());
    let running = tokio::spawn(async move { host.invoke(slot, invocation).await });
    until("it says something", || {
        other
            .live_logs(execution, 0)
            .is_some_and(|live| live.text.contains("it is ***TOKEN***\n"))
    })
    .await;
    let live = other.live_logs(execution, 0).unwrap();
    assert!(
        other
            .live_logs(execution, live.next)
            .unwrap()
            .text
            .is_empty()
    );
    std::fs::write(gate, "").unwrap();
    let outcome = running.await.unwrap();
    assert!(outcome.logs.starts_with(&live.text), "{}", outcome.logs);
    assert_eq!(failure(&outcome).1, "***TOKEN***");
    assert_eq!(other.live_logs(execution, 0), None);
}
