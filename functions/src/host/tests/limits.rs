//! What a function's processes may use, and what becomes of those that take more.

use serde_json::json;

use crate::testing::*;
use crate::*;

const PID: &str = "respond(str(os.getpid()))";
const MIB: u64 = 1 << 20;

#[tokio::test]
async fn too_much_memory_is_an_error_of_its_own() {
    let fixture = Fixture::with(|spec| spec.memory_bytes = 64 * MIB).await;
    let outcome = fixture
        .run("kept = [bytearray(b'x') * (1 << 20) for _ in range(200)]; time.sleep(600)")
        .await;
    let (error, message) = failure(&outcome);
    assert_eq!(error, OUT_OF_MEMORY);
    assert!(message.contains("64.0 MiB are allowed"), "{message}");
    assert!(outcome.report.max_memory_bytes.unwrap() > 64 * MIB);
    // The next one finds a new process.
    assert_eq!(answer(&fixture.run("respond('1')").await), json!(1));
}

#[tokio::test]
async fn memory_counts_for_all_that_a_process_started() {
    let fixture = Fixture::with(|spec| spec.memory_bytes = 128 * MIB).await;
    let eater = "kept = bytearray(b'x') * (50 << 20); import time; time.sleep(600)";
    let code = format!(
        "children = [subprocess.Popen([sys.executable, '-c', {eater:?}]) for _ in range(4)]; \
         time.sleep(600)"
    );
    assert_eq!(failure(&fixture.run(&code).await).0, OUT_OF_MEMORY);
}

#[tokio::test]
async fn pages_that_a_fork_shares_count_once() {
    let fixture = Fixture::with(|spec| spec.memory_bytes = 150 * MIB).await;
    // Seen for longer than it takes to look.
    let code = "
kept = bytearray(b'x') * (60 << 20)
children = []
for _ in range(5):
    child = os.fork()
    if child == 0: time.sleep(0.5); os._exit(0)
    children.append(child)
for child in children: os.waitpid(child, 0)
respond('1')
";
    assert_eq!(answer(&fixture.run(code).await), json!(1));
}

#[tokio::test]
async fn memory_of_a_start_counts() {
    let init = "kept = bytearray(b'x') * (200 << 20); time.sleep(600)";
    let fixture = Fixture::with(|spec| {
        spec.memory_bytes = 64 * MIB;
        spec.environment = environment(&[("INIT", init)]);
    })
    .await;
    assert_eq!(failure(&fixture.run("").await).0, OUT_OF_MEMORY);
    assert_eq!(fixture.host.status()[0].failed_starts, 1);
}

#[tokio::test]
async fn the_report_holds_the_most_memory() {
    let fixture = Fixture::new().await;
    let outcome = fixture
        .run("kept = bytearray(b'x') * (40 << 20); del kept; respond('1')")
        .await;
    answer(&outcome);
    let most = outcome.report.max_memory_bytes.unwrap();
    assert!((40 * MIB..120 * MIB).contains(&most), "{most}");
}

#[tokio::test]
async fn a_fork_bomb_ends_with_its_group() {
    let fixture = Fixture::launched(|spec| spec.processes = 60).await;
    let code = "
while True:
    try:
        if os.fork() == 0: time.sleep(600)
    except OSError: time.sleep(0.01)
";
    let outcome = fixture.run(code).await;
    assert_eq!(failure(&outcome).0, TOO_MANY_PROCESSES);
    assert_eq!(answer(&fixture.run("respond('1')").await), json!(1));
}

#[tokio::test]
async fn too_much_on_disk_is_an_error_of_its_own() {
    let fixture = Fixture::launched(|spec| spec.tmp_bytes = 4 * MIB).await;
    let code = "
for number in range(64):
    with open(f\"{os.environ['TMPDIR']}/{number}\", 'wb') as file:
        file.write(bytes(1 << 20)); file.flush(); os.fsync(file.fileno())
time.sleep(600)
";
    assert_eq!(failure(&fixture.run(code).await).0, OUT_OF_DISK);
    // One file alone meets the kernel's limit.
    let code = "
import errno
try:
    with open(os.environ['TMPDIR'] + '/one', 'wb') as file:
        for _ in range(64): file.write(bytes(1 << 20))
    respond('\"escaped\"')
except OSError as error: respond(json.dumps(errno.errorcode[error.errno]))
";
    assert_eq!(answer(&fixture.run(code).await), json!("EFBIG"));
}

#[tokio::test]
async fn open_files_are_bounded() {
    let fixture = Fixture::launched(|spec| spec.open_files = 100).await;
    let code = "
import errno, resource
files = []
try:
    while True: files.append(open('/dev/null'))
except OSError as error: found = errno.errorcode[error.errno]
count = len(files); files.clear()
try: resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 1000))
except (OSError, ValueError): found += ' for good'
respond(json.dumps([found, count < 100]))
";
    assert_eq!(
        answer(&fixture.run(code).await),
        json!(["EMFILE for good", true])
    );
}

#[tokio::test]
async fn who_uses_more_than_its_share_is_stopped_and_goes_on() {
    let fixture = Fixture::with(|spec| spec.cpu = Some(0.2)).await;
    // Ends only when it has been stopped and told to go on.
    let code = "
import signal
went_on = []
signal.signal(signal.SIGCONT, lambda *_: went_on.append(1))
while not went_on: pass
respond('\"went on\"')
";
    assert_eq!(answer(&fixture.run(code).await), json!("went on"));
}

#[tokio::test]
async fn a_process_is_replaced_after_so_many_invocations() {
    let fixture = Fixture::with(|spec| spec.max_invocations = Some(2)).await;
    let mut processes = Vec::new();
    for _ in 0..4 {
        processes.push(answer(&fixture.run(PID).await));
    }
    assert_eq!(processes[0], processes[1]);
    assert_ne!(processes[1], processes[2]);
    assert_eq!(processes[2], processes[3]);
}

#[tokio::test]
async fn a_process_whose_memory_grew_is_replaced() {
    let fixture = Fixture::with(|spec| spec.max_memory_growth_bytes = Some(30 * MIB)).await;
    let first = answer(&fixture.run(PID).await);
    let grown = "globals().setdefault('kept', []).append(bytearray(b'x') * (20 << 20)); ";
    let grow = format!("{grown}{PID}");
    assert_eq!(answer(&fixture.run(&grow).await), first);
    assert_eq!(answer(&fixture.run(&grow).await), first);
    assert_ne!(answer(&fixture.run(PID).await), first);
}
