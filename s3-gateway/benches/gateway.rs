//! How fast the gateway is by itself: small objects a second, and one large object beside `md5sum`.
//!
//! ```sh
//! cargo bench -p daybook-s3-gateway --all-features --bench gateway
//! cargo bench -p daybook-s3-gateway --all-features --bench gateway -- 5 10240 /mnt/disk 0
//! ```
//! The arguments are seconds for each figure, the size of the large object in MiB, the folder in
//! which all of it happens, and the size up to which new objects go through the journal. The gateway runs as a process of its own, with fsync as always; its
//! ledger only counts, so what the log costs is not in here (`daybook bench` has it). The client
//! signs beforehand and keeps its connections, and shares the machine.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench: a failure says where, and it prints what it measured"
)]

use std::collections::BTreeMap;
use std::io::{Read as _, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use daybook_domain::BucketName;
use daybook_domain::stored_object::ObjectCommand;
use daybook_s3_gateway::{
    BucketConfig, Gateway, GatewayConfig, LedgerError, Limits, LocalBucket, ObjectLedger,
    OperatorKey,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

const KEY: &str = "bench";
const SECRET: &str = "bench-secret";
const SMALL_BYTES: usize = 1024;
/// How many objects are new at most.
const NEW_KEYS: usize = 20_000;
const CONNECTIONS: [usize; 3] = [1, 16, 64];
/// The first argument of the process that serves.
const SERVE: &str = "serve";

struct Counting;

#[async_trait]
impl ObjectLedger for Counting {
    async fn record(&self, _: ObjectCommand) -> Result<(), LedgerError> {
        Ok(())
    }
}

fn main() {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    args.retain(|arg| !arg.starts_with("--"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match args.first().map(String::as_str) {
        Some(SERVE) => {
            let journaled = args[2].parse().unwrap();
            runtime.block_on(serve(Path::new(&args[1]), journaled));
        }
        _ => runtime.block_on(measure(&args)),
    }
}

/// The gateway. Tells its port on standard output.
async fn serve(folder: &Path, journaled_bytes: u64) {
    let local = LocalBucket {
        root: folder.join("inbox"),
        retain: Duration::from_secs(3600),
    };
    let key = OperatorKey {
        name: KEY.to_owned(),
        access_key: KEY.to_owned(),
        secret_key: SECRET.to_owned(),
        read: vec!["*".to_owned()],
        write: vec!["*".to_owned()],
    };
    let config = GatewayConfig {
        buckets: BTreeMap::from([(
            BucketName::parse("inbox").unwrap(),
            BucketConfig::Local(local),
        )]),
        keys: vec![key],
        region: "us-east-1".to_owned(),
        limits: Limits {
            max_put_bytes: u64::MAX,
            journaled_bytes,
            ..Limits::default()
        },
        shared: false,
        created: None,
    };
    let gateway = Gateway::open(config, Arc::new(Counting)).unwrap();
    let shutdown = CancellationToken::new();
    tokio::spawn(Arc::clone(&gateway).watch(shutdown.clone()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    std::io::stdout().flush().unwrap();
    gateway.serve(listener, shutdown).await.unwrap();
}

async fn measure(args: &[String]) {
    let number = |at: usize, default: u64| args.get(at).map_or(default, |a| a.parse().unwrap());
    let seconds = number(0, 5);
    let large_mib = number(1, 1024);
    let folder = match args.get(2) {
        Some(folder) => tempfile::tempdir_in(folder).unwrap(),
        None => tempfile::tempdir().unwrap(),
    };
    let journaled = number(3, Limits::default().journaled_bytes);
    let served = Served::start(&folder.path().join("buckets"), journaled).await;
    println!("objects of 1 KiB, fsync on, {seconds} s each");
    for connections in CONNECTIONS {
        let rates = small(&served, connections, Duration::from_secs(seconds)).await;
        let [puts, overwrites, gets] = rates;
        println!(
            "{connections:>4} connections  {puts:>8.0} PUT/s  {overwrites:>8.0} overwriting  {gets:>8.0} GET/s"
        );
    }
    println!("resident at most so far: {} MiB", served.peak_mib());
    large(&served, folder.path(), large_mib).await;
    println!("resident at most: {} MiB", served.peak_mib());
}

/// A gateway in another process, which ends with this.
struct Served {
    child: Child,
    address: SocketAddr,
}

impl Served {
    async fn start(folder: &Path, journaled: u64) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(SERVE)
            .arg(folder)
            .arg(journaled.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
        Self {
            child,
            address: line.trim().parse().unwrap(),
        }
    }

    /// The most memory that it has had resident.
    fn peak_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        kib.unwrap_or(0) / 1024
    }

    async fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Connection(BufReader::with_capacity(256 << 10, stream))
    }

    /// The head of a request, signed in its URL.
    fn head(&self, method: &str, key: &str, length: u64) -> Vec<u8> {
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(24 * 3600));
        let identity = Credentials::new(KEY, SECRET, None, None, "bench").into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name("s3")
            .time(now())
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let uri = format!("http://{}/inbox/{key}", self.address);
        let body = SignableBody::UnsignedPayload;
        let signable = SignableRequest::new(method, &uri, std::iter::empty(), body).unwrap();
        let (instructions, _) = sign(signable, &parameters).unwrap().into_parts();
        let mut request = hyper::Request::builder().uri(&uri).body(()).unwrap();
        instructions.apply_to_request_http1x(&mut request);
        let target = request.uri().path_and_query().unwrap();
        let host = self.address;
        format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\n\r\n")
            .into_bytes()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Sends what is given and reads the whole answer. Returns the length of its body.
    async fn ask(&mut self, request: &[u8]) -> u64 {
        self.0.get_mut().write_all(request).await.unwrap();
        self.answer().await
    }

    async fn answer(&mut self) -> u64 {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        assert!(line.starts_with("HTTP/1.1 200"), "{line}");
        let mut length = 0;
        loop {
            line.clear();
            self.0.read_line(&mut line).await.unwrap();
            if line == "\r\n" {
                break;
            }
            let (name, value) = line.split_once(':').unwrap();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut left = length;
        let mut buffer = vec![0; 256 << 10];
        while left > 0 {
            let most = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let read = self.0.read(&mut buffer[..most]).await.unwrap();
            assert!(read > 0, "the answer ended early");
            left -= read as u64;
        }
        length
    }
}

/// PUTs under new keys, PUTs under keys that have an object, and GETs a second, with so many
/// connections.
async fn small(served: &Served, connections: usize, time: Duration) -> [f64; 3] {
    let body = vec![b'x'; SMALL_BYTES];
    let mut keys = vec![NEW_KEYS.div_ceil(connections); connections];
    let key = |connection: usize, n: usize| format!("{connections}/{connection}/{n:05}");
    let mut rates = [0.0; 3];
    for (at, (method, again)) in [("PUT", false), ("PUT", true), ("GET", true)]
        .into_iter()
        .enumerate()
    {
        let rate = &mut rates[at];
        let mut tasks = Vec::new();
        for (at, keys) in keys.iter().enumerate() {
            let requests: Vec<Vec<u8>> = (0..*keys)
                .map(|n| {
                    let put = method == "PUT";
                    let length = if put { SMALL_BYTES as u64 } else { 0 };
                    let mut request = served.head(method, &key(at, n), length);
                    if put {
                        request.extend(&body);
                    }
                    request
                })
                .collect();
            tasks.push((served.connect().await, requests));
        }
        let begun = Instant::now();
        let tasks = tasks.into_iter().map(|(mut connection, requests)| {
            tokio::spawn(async move {
                let mut done = 0;
                let (once, cycled) = (requests.iter(), requests.iter().cycle());
                let requests: Box<dyn Iterator<Item = _> + Send> = match again {
                    true => Box::new(cycled),
                    false => Box::new(once),
                };
                for request in requests {
                    // One at least, so that there is something to read.
                    if begun.elapsed() >= time && done > 0 {
                        break;
                    }
                    connection.ask(request).await;
                    done += 1;
                }
                done
            })
        });
        let mut done = Vec::new();
        for task in tasks.collect::<Vec<_>>() {
            done.push(task.await.unwrap());
        }
        let sum: usize = done.iter().sum();
        *rate = sum as f64 / begun.elapsed().as_secs_f64();
        if !again {
            // What there is now.
            keys = done;
        }
    }
    rates
}

/// One large object, there and back, beside `md5sum` of the same file.
async fn large(served: &Served, folder: &Path, mib: u64) {
    let file = folder.join("large");
    write_file(&file, mib);
    let bytes = mib << 20;
    let rate = |took: Duration| mib as f64 * 1.048_576 / took.as_secs_f64();
    let md5sum = |file: &PathBuf| {
        let begun = Instant::now();
        let status = Command::new("md5sum")
            .arg(file)
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success());
        rate(begun.elapsed())
    };
    let before = md5sum(&file);

    let mut connection = served.connect().await;
    let head = served.head("PUT", "large", bytes);
    let begun = Instant::now();
    connection.0.get_mut().write_all(&head).await.unwrap();
    let mut source = tokio::fs::File::open(&file).await.unwrap();
    source.set_max_buf_size(1 << 20);
    let mut source = BufReader::with_capacity(1 << 20, source);
    tokio::io::copy_buf(&mut source, connection.0.get_mut())
        .await
        .unwrap();
    connection.answer().await;
    let put = rate(begun.elapsed());

    let head = served.head("GET", "large", 0);
    let begun = Instant::now();
    assert_eq!(connection.ask(&head).await, bytes);
    let get = rate(begun.elapsed());
    let md5 = f64::midpoint(before, md5sum(&file));
    let begun = Instant::now();
    copy_to_disk(&file, &file.with_extension("copy"));
    let copied = rate(begun.elapsed());
    println!("one object of {mib} MiB, MB/s");
    println!("  md5sum        {md5:>6.0}");
    println!("  copy and sync {copied:>6.0}");
    let beside = |rate: f64| {
        format!(
            "{:.2} of md5sum, {:.2} of the copy",
            rate / md5,
            rate / copied
        )
    };
    println!("  PUT           {put:>6.0}  {}", beside(put));
    println!("  GET           {get:>6.0}  {}", beside(get));
}

/// What the disk allows for: the same bytes, written and flushed without anything else.
fn copy_to_disk(from: &Path, to: &Path) {
    let mut from = std::fs::File::open(from).unwrap();
    let mut file = std::fs::File::create(to).unwrap();
    let mut block = vec![0; 1 << 20];
    loop {
        match from.read(&mut block).unwrap() {
            0 => break,
            n => file.write_all(&block[..n]).unwrap(),
        }
    }
    file.sync_all().unwrap();
    std::fs::remove_file(to).unwrap();
}

/// Bytes that no file system can leave out.
fn write_file(path: &Path, mib: u64) {
    let mut file = std::fs::File::create(path).unwrap();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..mib {
        let mut block = Vec::with_capacity(1 << 20);
        while block.len() < 1 << 20 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            block.extend(state.to_le_bytes());
        }
        file.write_all(&block).unwrap();
    }
    // Its own way to the disk is not to be in what is measured.
    file.sync_all().unwrap();
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge: a signature carries the time"
)]
fn now() -> SystemTime {
    SystemTime::now()
}
