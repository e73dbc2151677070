//! When processes start, are used again, and end.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::testing::*;
use crate::*;

const PID: &str = "respond(str(os.getpid()))";

/// Longer than any test takes.
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_warm_process_is_used_again() {
    let fixture = Fixture::new().await;
    let first = fixture.run(PID).await;
    until("it is idle", || fixture.host.status()[0].idle == 1).await;
    let second = fixture.run(PID).await;
    assert_eq!(answer(&first), answer(&second));
    assert!(first.report.init_ms.is_some() && second.report.init_ms.is_none());
    assert_eq!(
        fixture.storage.calls(),
        ["issue AK1", "begin AK1", "end AK1", "begin AK1", "end AK1"]
    );
}

#[tokio::test]
async fn slots_bound_the_processes() {
    let fixture = Fixture::with(|spec| spec.concurrency = 2).await;
    let (first, second) = (fixture.slot().await, fixture.slot().await);
    assert!(fixture.host.reserve(&fixture.name).is_none());
    drop(first);
    let third = tokio::time::timeout(Duration::from_secs(5), fixture.slot())
        .await
        .unwrap();
    let (one, two) = tokio::join!(
        fixture.host.invoke(second, invocation(PID)),
        fixture.host.invoke(third, invocation(PID)),
    );
    assert_ne!(answer(&one), answer(&two));
    for _ in 0..20 {
        let slot = fixture.slot().await;
        answer(&fixture.host.invoke(slot, invocation(PID)).await);
    }
    let started = fixture
        .storage
        .calls()
        .iter()
        .filter(|call| call.starts_with("issue"))
        .count();
    assert_eq!(started, 2);
}

#[tokio::test]
async fn many_invocations_lose_and_double_none() {
    let fixture = Fixture::with(|spec| spec.concurrency = 4).await;
    let mut running = tokio::task::JoinSet::new();
    for number in 0..400 {
        let slot = fixture.slot().await;
        let host = fixture.host.clone();
        running.spawn(async move {
            let code = format!("respond('{number}')");
            (number, host.invoke(slot, invocation(&code)).await)
        });
    }
    let mut seen = 0;
    while let Some(done) = running.join_next().await {
        let (number, outcome) = done.unwrap();
        assert_eq!(answer(&outcome), json!(number));
        seen += 1;
    }
    assert_eq!(seen, 400);
    let calls = fixture.storage.calls();
    let count = |kind: &str| calls.iter().filter(|call| call.starts_with(kind)).count();
    assert_eq!((count("begin"), count("end")), (400, 400));
    assert!(count("issue") <= 4);
}

#[tokio::test]
async fn idle_processes_stop() {
    let fixture = Fixture::with(|spec| spec.idle_timeout = Duration::from_millis(50)).await;
    answer(&fixture.run("respond('1')").await);
    until("it has stopped", || {
        fixture
            .storage
            .calls()
            .last()
            .is_some_and(|call| call == "revoke AK1")
    })
    .await;
    assert_eq!(fixture.host.status()[0].idle, 0);
}

#[tokio::test]
async fn a_process_that_dies_while_idle_costs_no_invocation() {
    let fixture = Fixture::new().await;
    let pid = answer(&fixture.run(PID).await).as_i64().unwrap();
    until("it is idle", || fixture.host.status()[0].idle == 1).await;
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    until("its end is noticed", || fixture.host.status()[0].idle == 0).await;
    assert_eq!(answer(&fixture.run("respond('1')").await), json!(1));
}

#[tokio::test]
async fn work_that_a_dying_process_never_took_goes_to_another() {
    let fixture = Fixture::new().await;
    let folder = fixture.folder.path();
    let (hung_up, end) = (folder.join("hung-up"), folder.join("end"));
    // Answers, polls, hangs up, and ends when told to.
    let code = format!(
        "import socket\n\
         respond('1')\n\
         poll = socket.create_connection(os.environ['AWS_LAMBDA_RUNTIME_API'].split(':'))\n\
         poll.sendall(b'GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n\
         while not os.path.exists({end:?}):\n    \
             time.sleep(0.005)\n    \
             if os.path.exists({end:?} + '.poll'): poll.close(); open({hung_up:?}, 'w').close()\n\
         sys.exit(1)"
    );
    assert_eq!(answer(&fixture.run(&code).await), json!(1));
    until("it is idle", || fixture.host.status()[0].idle == 1).await;
    std::fs::write(folder.join("end.poll"), "").unwrap();
    until("it hung up", || hung_up.exists()).await;
    // Lets the connection's end, which is here already, be read.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let second = fixture.run("respond('2')");
    let ending = async {
        until("it was given work", || fixture.storage.calls().len() == 4).await;
        std::fs::write(&end, "").unwrap();
    };
    let (second, ()) = tokio::join!(second, ending);
    assert_eq!(answer(&second), json!(2));
    assert_eq!(
        fixture.storage.calls()[3..],
        [
            "begin AK1",
            "end AK1",
            "revoke AK1",
            "issue AK2",
            "begin AK2",
            "end AK2"
        ]
    );
}

#[tokio::test]
async fn what_a_process_leaves_behind_ends_with_it() {
    let fixture = Fixture::new().await;
    let pid_file = fixture.folder.path().join("left-behind");
    let code = format!(
        "child = subprocess.Popen(['sleep', '600']); \
         open({pid_file:?}, 'w').write(str(child.pid)); os._exit(1)"
    );
    assert_eq!(failure(&fixture.run(&code).await).0, RUNTIME_EXIT);
    until("it is gone", || !is_alive(&pid_file)).await;
}

#[tokio::test]
async fn a_start_that_keeps_failing_backs_off() {
    let fixture =
        Fixture::with(|spec| spec.environment = environment(&[("INIT", "sys.exit(1)")])).await;
    let mut starts = Vec::new();
    for _ in 0..3 {
        let slot = fixture.slot().await;
        starts.push(Instant::now());
        let outcome = fixture.host.invoke(slot, invocation("")).await;
        assert_eq!(failure(&outcome).0, INIT_ERROR);
        assert!(fixture.host.reserve(&fixture.name).is_none());
    }
    // 300 ms first, then doubled.
    assert!(starts[1] - starts[0] >= Duration::from_millis(300));
    assert!(starts[2] - starts[1] >= Duration::from_millis(600));
    let status = &fixture.host.status()[0];
    assert_eq!(status.failed_starts, 3);
    assert_eq!(status.last_start_failure.as_deref(), Some(INIT_ERROR));
    assert!(status.backing_off.is_some());
}

#[tokio::test]
async fn a_crash_loop_backs_off_and_one_crash_does_not() {
    let fixture = Fixture::backing_off_for(HOUR).await;
    for crashes in 1..=2 {
        let outcome = fixture.run("os.kill(os.getpid(), 9)").await;
        assert_eq!(failure(&outcome).0, RUNTIME_CRASH);
        // The first may have been for its event alone.
        let free = fixture.host.reserve(&fixture.name).is_some();
        assert_eq!(free, crashes == 1);
    }
    let status = &fixture.host.status()[0];
    assert_eq!(status.failed_starts, 2);
    assert_eq!(status.last_start_failure.as_deref(), Some(RUNTIME_CRASH));
    assert!(status.backing_off.is_some());
}

#[tokio::test]
async fn one_that_answers_ends_a_crash_loop() {
    let fixture = Fixture::backing_off_for(Duration::from_millis(1)).await;
    // An error that goes on, and an answer that does not.
    let report = "fail(json.dumps({'errorType': 'ValueError', 'errorMessage': 'no'}))";
    for answers in [report, "respond('1'); os._exit(0)"] {
        for _ in 0..3 {
            fixture.run("os.kill(os.getpid(), 9)").await;
        }
        assert_eq!(fixture.host.status()[0].failed_starts, 3);
        fixture.run(answers).await;
        until("it is forgotten", || {
            fixture.host.status()[0].failed_starts == 0
        })
        .await;
        let status = &fixture.host.status()[0];
        assert_eq!(status.last_start_failure, None);
    }
}

#[tokio::test]
async fn ending_after_the_report_of_an_error_is_a_crash() {
    let fixture = Fixture::backing_off_for(HOUR).await;
    // As the clients do with what nobody caught.
    let ends = "fail(json.dumps({'errorType': 'ValueError', 'errorMessage': 'no'})); os._exit(1)";
    for crashes in 1..=2 {
        assert_eq!(failure(&fixture.run(ends).await).0, "ValueError");
        until("it is counted", || {
            fixture.host.status()[0].failed_starts == crashes
        })
        .await;
    }
    assert!(fixture.host.status()[0].backing_off.is_some());
}

#[tokio::test]
async fn cancelling_interrupts_and_fences() {
    let fixture = Fixture::new().await;
    let pid_file = fixture.folder.path().join("pid");
    *fixture.storage.watch.lock().unwrap() = Some(pid_file.clone());
    let slot = fixture.slot().await;
    let code = format!("open({pid_file:?}, 'w').write(str(os.getpid())); time.sleep(600)");
    let hanging = invocation(&code);
    let cancel = hanging.cancel.clone();
    let running = fixture.host.invoke(slot, hanging);
    let cancelling = async {
        until("it runs", || is_alive(&pid_file)).await;
        cancel.cancel();
    };
    let (outcome, ()) = tokio::join!(running, cancelling);
    assert!(
        matches!(outcome.result, OutcomeResult::Interrupted { .. }),
        "{outcome:?}"
    );
    assert_eq!(
        fixture.storage.calls()[1..],
        ["begin AK1", "end AK1 alive", "revoke AK1 alive"]
    );
    until("it is gone", || !is_alive(&pid_file)).await;
}

#[tokio::test]
async fn dropping_an_invocation_fences_and_kills() {
    let fixture = Fixture::new().await;
    let pid_file = fixture.folder.path().join("pid");
    let code = format!("open({pid_file:?}, 'w').write(str(os.getpid())); time.sleep(600)");
    let slot = fixture.slot().await;
    let running = fixture.host.invoke(slot, invocation(&code));
    tokio::select! {
        outcome = running => panic!("{outcome:?}"),
        () = until("it runs", || is_alive(&pid_file)) => {}
    }
    until("it is gone", || !is_alive(&pid_file)).await;
    let mut ends = fixture.storage.calls().split_off(2);
    ends.sort();
    assert_eq!(ends, ["end AK1", "revoke AK1"]);
    assert_eq!(fixture.host.status()[0].busy, 0);
}

#[tokio::test]
async fn a_shutdown_lets_invocations_finish() {
    let fixture = Fixture::with(|spec| spec.concurrency = 2).await;
    let go = fixture.folder.path().join("go");
    let code = format!(
        "open({go:?} + '.ready', 'w').close()\n\
         while not os.path.exists({go:?}): time.sleep(0.01)\n\
         respond('5')"
    );
    let slot = fixture.slot().await;
    let late = fixture.slot().await;
    let running = fixture.host.invoke(slot, invocation(&code));
    let stopping = async {
        let ready = go.with_extension("ready");
        until("it runs", || ready.exists()).await;
        let shutdown = fixture.host.shutdown(Duration::from_secs(60));
        let finishing = async {
            until("it is closing", || {
                fixture.host.reserve(&fixture.name).is_none()
            })
            .await;
            let refused = fixture.host.invoke(late, invocation("respond('6')")).await;
            assert!(matches!(refused.result, OutcomeResult::Interrupted { .. }));
            std::fs::write(&go, "").unwrap();
        };
        tokio::join!(shutdown, finishing);
    };
    let (outcome, ()) = tokio::join!(running, stopping);
    assert_eq!(answer(&outcome), json!(5));
    assert_eq!(fixture.storage.calls().last().unwrap(), "revoke AK1");
}

#[tokio::test]
async fn a_shutdown_interrupts_what_does_not_finish() {
    let fixture = Fixture::new().await;
    let pid_file = fixture.folder.path().join("pid");
    let code = format!("open({pid_file:?}, 'w').write(str(os.getpid())); time.sleep(600)");
    let slot = fixture.slot().await;
    let running = fixture.host.invoke(slot, invocation(&code));
    let stopping = async {
        until("it runs", || is_alive(&pid_file)).await;
        fixture.host.shutdown(Duration::from_millis(20)).await;
    };
    let (outcome, ()) = tokio::join!(running, stopping);
    assert!(
        matches!(outcome.result, OutcomeResult::Interrupted { .. }),
        "{outcome:?}"
    );
    assert!(!is_alive(&pid_file));
    assert!(fixture.host.reserve(&fixture.name).is_none());
}

#[tokio::test]
async fn loading_again_replaces_the_code() {
    let fixture = Fixture::new().await;
    assert_eq!(
        answer(&fixture.run("respond(os.environ.get('STAGE', '0'))").await),
        json!(0)
    );
    let code = fixture.folder.path().join("code");
    let mut spec = FunctionSpec::new(fixture.name.clone(), Runtime::Provided, code, "");
    spec.environment = environment(&[("STAGE", "1")]);
    fixture.host.load(spec).await.unwrap();
    assert_eq!(
        answer(&fixture.run("respond(os.environ.get('STAGE', '0'))").await),
        json!(1)
    );
    until("the old process is gone", || {
        fixture.storage.calls().contains(&"revoke AK1".to_owned())
    })
    .await;
}

#[tokio::test]
async fn what_runs_is_a_read_only_copy_that_goes_with_its_last_process() {
    let fixture = Fixture::new().await;
    let look = "import os.path\n\
                root = os.environ['LAMBDA_TASK_ROOT']\n\
                respond(json.dumps([root, os.getcwd(), os.stat(root + '/bootstrap').st_mode & 0o777]))";
    let found = answer(&fixture.run(look).await);
    assert_eq!(found[0], found[1]);
    assert_eq!(found[2], json!(0o555));
    let code = fixture.folder.path().join("code");
    std::fs::write(code.join("added"), "new").unwrap();
    assert_eq!(answer(&fixture.run(look).await), found);
    // Nor does the change count for a process that starts now.
    let spec = FunctionSpec::new(fixture.name.clone(), Runtime::Provided, code, "");
    let (prepared, loaded) = fixture.host.prepare(spec).await.unwrap();
    let slot = fixture.slot().await;
    let revision = daybook_domain::execution::CodeRevision {
        revision: 2,
        sha256: loaded.sha256,
    };
    fixture.host.install(prepared, Some(revision.clone()));
    let old = fixture.host.invoke(slot, invocation(look)).await;
    assert_eq!(answer(&old), found);
    let slot = fixture
        .host
        .reserve_revision(&fixture.name, &revision)
        .unwrap();
    let new = answer(&fixture.host.invoke(slot, invocation(look)).await);
    assert!(new[0].as_str().unwrap().ends_with(&revision.sha256));
    let other = daybook_domain::execution::CodeRevision {
        revision: 3,
        ..revision
    };
    assert!(
        fixture
            .host
            .reserve_revision(&fixture.name, &other)
            .is_none()
    );
    let before = std::path::PathBuf::from(found[0].as_str().unwrap());
    until("the old copy is gone", || !before.exists()).await;
}

#[tokio::test]
async fn each_process_has_its_own_temporary_folder_for_its_life() {
    let fixture = Fixture::with(|spec| spec.idle_timeout = Duration::from_millis(50)).await;
    let code = "open(os.environ['TMPDIR'] + '/x', 'w').write('x'); \
                respond(json.dumps([os.environ['TMPDIR'], os.environ['HOME']]))";
    let folders = answer(&fixture.run(code).await);
    let folder = std::path::Path::new(folders[0].as_str().unwrap()).to_owned();
    assert_eq!(folders[0], folders[1]);
    until("it is removed", || !folder.exists()).await;
}

/// Not a test by itself: the process that the next one kills.
#[tokio::test]
#[ignore = "is run by another test, in a process of its own"]
async fn hosts_a_function_until_killed() {
    let Some(folder) = std::env::var_os(KILLED_HOST) else {
        return;
    };
    let fixture = Fixture::new().await;
    let code = "child = subprocess.Popen(['sleep', '600'])\n\
        for name, pid in (('function', os.getpid()), ('child', child.pid)):\n    \
        open(event['folder'] + '/' + name, 'w').write(str(pid))\n\
        time.sleep(600)";
    let mut hanging = invocation(code);
    let payload = json!({ "do": code, "folder": std::path::Path::new(&folder) });
    hanging.payload = payload.to_string().into();
    let slot = fixture.slot().await;
    fixture.host.invoke(slot, hanging).await;
}

const KILLED_HOST: &str = "DAYBOOK_TEST_KILLED_HOST";

#[tokio::test]
async fn no_process_outlives_a_host_that_is_killed() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut host = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "host::tests::lifecycle::hosts_a_function_until_killed",
        ])
        .env(KILLED_HOST, folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let (function, child) = (folder.path().join("function"), folder.path().join("child"));
    until("both run", || is_alive(&function) && is_alive(&child)).await;
    host.kill().unwrap();
    host.wait().unwrap();
    until("both are gone", || {
        !is_alive(&function) && !is_alive(&child)
    })
    .await;
}
