//! A function that tries to get out, and one that does honest work meanwhile. What needs a part of
//! the sandbox that this machine lacks is not run, and says so.

use std::time::Duration;

use serde_json::{Value, json};

use crate::testing::*;
use crate::*;

const CONFINED: [SandboxPart; 4] = [
    SandboxPart::Files,
    SandboxPart::Tcp,
    SandboxPart::Signals,
    SandboxPart::SystemCalls,
];

/// What each of the ways out is answered. `secret`, `host`, `port` and `other` come with the event.
const WAYS_OUT: &str = r#"
import ctypes, errno, signal, socket
libc = ctypes.CDLL(None, use_errno=True)
own, secret, host = os.environ['TMPDIR'], event['secret'], event['host']
found = {}
def tried(name, way):
    try: found[name] = f'escaped: {way()!r}'
    except OSError as error: found[name] = errno.errorcode[error.errno]
def asked(number, *arguments):
    if libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
def connect(port): socket.create_connection(('127.0.0.1', port), 5)
def fast_open(port):
    with socket.socket() as one: one.sendto(b'x', 0x20000000, ('127.0.0.1', port))
def through_link():
    os.symlink(secret, own + '/link')
    return open(own + '/link').read()
def bind():
    with socket.socket() as one: one.bind(('127.0.0.1', 0))
def listen():
    with socket.socket() as one: one.listen()
def kind(*of): socket.socket(*of).close()
tried('read', lambda: open(secret).read())
tried('list', lambda: os.listdir(os.path.dirname(secret)))
tried('truncate', lambda: os.truncate(secret, 0))
tried('remove', lambda: os.remove(secret))
tried('hard link', lambda: os.link(secret, own + '/hard'))
tried('symbolic link', through_link)
tried('rename', lambda: os.rename(secret, own + '/moved'))
tried('mark', lambda: os.setxattr(secret, 'user.mark', b'x'))
tried('other function', lambda: os.listdir(event['other']))
tried('own code', lambda: open(os.environ['LAMBDA_TASK_ROOT'] + '/bootstrap', 'a'))
tried('new code', lambda: open(os.environ['LAMBDA_TASK_ROOT'] + '/new', 'w'))
tried('temporary files of all', lambda: open('/var/tmp/escaped', 'w'))
tried('passwords', lambda: open('/etc/shadow').read())
tried('environment', lambda: open(f'/proc/{host}/environ').read())
tried('open file', lambda: os.readlink(f'/proc/{host}/fd/0'))
tried('open file again', lambda: open(f'/proc/{host}/fd/0'))
tried('memory', lambda: open(f'/proc/{host}/mem', 'rb'))
tried('root', lambda: os.listdir(f'/proc/{host}/root'))
tried('port', lambda: connect(event['port']))
tried('port at once', lambda: fast_open(event['port']))
tried('bind', bind)
tried('listen', listen)
tried('multipath', lambda: kind(socket.AF_INET, socket.SOCK_STREAM, 262))
tried('raw', lambda: kind(socket.AF_INET, socket.SOCK_RAW, 6))
tried('packet', lambda: kind(socket.AF_PACKET, socket.SOCK_DGRAM))
tried('signal', lambda: os.kill(host, signal.SIGTERM))
tried('bounds', lambda: asked(302, host, 7, 0, 0))
tried('priority', lambda: os.setpriority(os.PRIO_PROCESS, host, 19))
tried('trace', lambda: asked(101, 16, host, 0, 0))
tried('memory call', lambda: asked(310, host, 0, 0, 0, 0, 0))
tried('namespace', lambda: asked(272, 0x10000000))
tried('clone', lambda: asked(56, 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0))
tried('mount', lambda: asked(165, 0, 0, 0, 0, 0))
tried('ring', lambda: asked(425, 1, 0))
tried('hidden memory', lambda: asked(319, 0, 0))
tried('keys', lambda: asked(250, 0, -3, 1))
status = dict(line.split(':\t', 1) for line in open('/proc/self/status').read().splitlines() if ':\t' in line)
found['powers'] = [status['NoNewPrivs'], status['CapEff'].strip('0'), status['CapPrm'].strip('0')]
respond(json.dumps(found))
"#;

/// All that an event's code is told.
fn told(code: &str, more: &Value) -> Invocation {
    let mut invocation = invocation(code);
    let mut payload = more.clone();
    payload["do"] = json!(code);
    invocation.payload = payload.to_string().into();
    invocation
}

#[tokio::test]
#[cfg(target_arch = "x86_64")]
async fn no_way_leads_out() {
    let fixture = Fixture::launched(|_| {}).await;
    if !fixture.has(&CONFINED) {
        return;
    }
    let secret = fixture.folder.path().join("ledger/log.sqlite");
    std::fs::create_dir(secret.parent().unwrap()).unwrap();
    std::fs::write(&secret, "a secret").unwrap();
    let other = fixture.folder.path().join("run");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let more = json!({
        "secret": secret, "other": other,
        "host": std::process::id(), "port": listener.local_addr().unwrap().port(),
    });
    let slot = fixture.slot().await;
    let outcome = fixture.host.invoke(slot, told(WAYS_OUT, &more)).await;
    let found = answer(&outcome);
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "a secret");
    let found = found.as_object().unwrap();
    assert!(found.len() > 30);
    for (way, answer) in found {
        let expected: &[&str] = match way.as_str() {
            "powers" => {
                assert_eq!(*answer, json!(["1", "", ""]), "{way}");
                continue;
            }
            "hard link" | "rename" => &["EACCES", "EXDEV", "ENOENT"],
            // Its own /tmp has none of them.
            "read" | "list" | "truncate" | "remove" | "symbolic link" | "other function" => {
                &["EACCES", "ENOENT"]
            }
            "ring" | "hidden memory" => &["ENOSYS"],
            // Mounted for reading alone, where it lies in the machine's /tmp.
            "own code" | "new code" => &["EACCES", "EROFS"],
            _ => &["EACCES", "EPERM"],
        };
        let answer = answer.as_str().unwrap();
        assert!(expected.contains(&answer), "{way}: {answer}");
    }
}

#[tokio::test]
async fn the_port_of_another_process_is_closed() {
    let fixture = Fixture::launched(|spec| spec.concurrency = 2).await;
    if !fixture.has(&CONFINED) {
        return;
    }
    let own = "respond(json.dumps(os.environ['AWS_LAMBDA_RUNTIME_API']))";
    let (one, two) = (fixture.slot().await, fixture.slot().await);
    let (one, two) = tokio::join!(
        fixture.host.invoke(one, invocation(own)),
        fixture.host.invoke(two, invocation(own)),
    );
    let ports = json!({ "ports": [answer(&one), answer(&two)] });
    assert_ne!(answer(&one), answer(&two));
    let code = "
import errno, socket
[other] = [port for port in event['ports'] if port != os.environ['AWS_LAMBDA_RUNTIME_API']]
try:
    socket.create_connection(other.split(':'), 5)
    found = 'escaped'
except OSError as error: found = errno.errorcode[error.errno]
respond(json.dumps(found))
";
    until("both are idle", || fixture.host.status()[0].idle == 2).await;
    let slot = fixture.slot().await;
    let found = fixture.host.invoke(slot, told(code, &ports)).await;
    assert_eq!(answer(&found), "EACCES");
}

#[tokio::test]
async fn a_daemon_does_not_survive_a_time_out() {
    let fixture = Fixture::launched(|spec| spec.timeout = Duration::from_secs(2)).await;
    if !fixture.has(&[SandboxPart::SystemCalls]) {
        return;
    }
    let code = "
import subprocess
pids = [subprocess.Popen(['sleep', '600'], start_new_session=True).pid]
read, write = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setsid(); os.setpgid(0, 0)
        os.write(write, str(os.getpid()).encode())
        time.sleep(600)
    os._exit(0)
pids.append(int(os.read(read, 20)))
print('daemons:', *pids, flush=True)
time.sleep(600)
";
    let outcome = fixture.run(code).await;
    assert!(
        matches!(outcome.result, OutcomeResult::TimedOut { .. }),
        "{outcome:?}"
    );
    let (_, daemons) = outcome.logs.split_once("daemons: ").unwrap();
    let file = fixture.folder.path().join("pid");
    let daemons = daemons.lines().next().unwrap();
    let daemons: Vec<&str> = daemons.split_whitespace().collect();
    assert_eq!(daemons.len(), 2);
    for daemon in daemons {
        std::fs::write(&file, daemon).unwrap();
        until("the daemon is gone", || !is_alive(&file)).await;
    }
}

#[tokio::test]
async fn honest_work_goes_on() {
    let fixture = Fixture::launched(|_| {}).await;
    let code = "
import shutil, socket, tempfile, threading, zipfile
with tempfile.NamedTemporaryFile() as file:
    file.write(b'x' * 1000); file.flush(); os.fsync(file.fileno())
folder = tempfile.mkdtemp()
os.makedirs(folder + '/a/b'); open(folder + '/a/b/c', 'w').write('1')
os.chmod(folder + '/a/b/c', 0o600)
os.rename(folder + '/a/b/c', folder + '/c'); os.symlink('c', folder + '/d'); os.link(folder + '/c', folder + '/e')
with zipfile.ZipFile(folder + '/z.zip', 'w') as archive: archive.write(folder + '/c', 'c')
shutil.rmtree(folder)
one, two = socket.socketpair(); one.sendall(b'1'); two.recv(1)
said = subprocess.run('echo 1 | cat > /dev/null; echo $((1 + 1))', shell=True, capture_output=True, check=True).stdout
subprocess.run([sys.executable, '-c', 'import ssl, hashlib, ctypes'], check=True)
subprocess.run(['true'], check=True, start_new_session=True)
threads = [threading.Thread(target=time.sleep, args=(0.01,)) for _ in range(50)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
addresses = {address[4][0] for address in socket.getaddrinfo('localhost', 80)}
os.kill(os.fork() or os._exit(0) or 0, 0)
respond(json.dumps([said.decode(), '127.0.0.1' in addresses, os.cpu_count() > 0, os.listdir(os.environ['LAMBDA_TASK_ROOT'])]))
";
    let found = answer(&fixture.run(code).await);
    assert_eq!(found, json!(["2\n", true, true, ["bootstrap"]]));
}

#[tokio::test]
async fn tmp_is_its_own_where_the_kernel_allows_that() {
    let fixture = Fixture::launched(|_| {}).await;
    if !fixture.has(&[SandboxPart::OwnTmp]) {
        return;
    }
    let code = "
name = f'own-{os.getpid()}'
open('/tmp/' + name, 'w').write('1')
respond(json.dumps([name, os.path.exists(os.environ['TMPDIR'] + '/' + name)]))
";
    let found = answer(&fixture.run(code).await);
    assert_eq!(found[1], true);
    let name = found[0].as_str().unwrap();
    assert!(!std::path::Path::new("/tmp").join(name).exists());
}

#[tokio::test]
async fn a_sandbox_that_is_off_confines_nothing() {
    let fixture = Fixture::launched(|spec| spec.sandbox = Some(SandboxMode::Off)).await;
    let file = fixture.folder.path().join("outside");
    std::fs::write(&file, "1").unwrap();
    let found = fixture
        .run(&format!("respond(open({file:?}).read())"))
        .await;
    assert_eq!(answer(&found), json!(1));
    let status = &fixture.host.status()[0];
    assert_eq!(status.sandbox, Some(SandboxMode::Off));
    assert!(status.sandbox_lacks.is_empty());
}

#[tokio::test]
async fn a_required_sandbox_without_a_launcher_is_refused() {
    let folder = tempfile::TempDir::new().unwrap();
    bootstrap(folder.path());
    let options = HostOptions {
        run_dir: folder.path().join("../").canonicalize().unwrap(),
        sandbox: SandboxMode::Required,
        ..HostOptions::default()
    };
    let host = FunctionHost::new(std::sync::Arc::new(FakeStorage::default()), options);
    let name = daybook_domain::FunctionName::parse("careful").unwrap();
    let mut spec = FunctionSpec::new(name, Runtime::Provided, folder.path(), "");
    spec.sandbox = Some(SandboxMode::Off);
    let refused = host.load(spec).await.unwrap_err().to_string();
    for part in [
        "its sandbox is required",
        "Landlock",
        "seccomp",
        "\"available\"",
    ] {
        assert!(refused.contains(part), "{refused}");
    }
}

#[tokio::test]
async fn a_program_that_cannot_be_run_is_an_invalid_entrypoint() {
    let fixture = Fixture::launched(|spec| {
        std::fs::write(spec.code.join("bootstrap"), "#!/no/such/interpreter\n").unwrap();
    })
    .await;
    let outcome = fixture.run("").await;
    assert_eq!(failure(&outcome).0, INVALID_ENTRYPOINT);
    assert!(outcome.logs.contains("No such file"), "{}", outcome.logs);
}
