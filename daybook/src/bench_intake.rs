//! `daybook bench intake`: records of S3 notifications a second over HTTP, ten in a
//! request, each on disk when it is answered; beside a bare loop that writes the same requests into
//! a file and syncs it once for all connections. Client and server share the machine.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::actor;
use crate::bench::{rate, resident_mb};
use crate::cli::BenchIntakeArgs;
use crate::config::Config;
use crate::roles::Roles;
use crate::server::Server;

/// Records in a request: as many as an SQS batch has messages.
const BATCH: usize = 10;

const CONFIG: &str = r#"
[buckets.inbox]
path = "inbox"
"#;

/// How much of an answer is read at once.
const CHUNK_BYTES: usize = 16 << 10;

pub(crate) async fn run(args: BenchIntakeArgs) -> Result<()> {
    let parent = args.dir.unwrap_or_else(std::env::temp_dir);
    let folder = tempfile::Builder::new()
        .prefix("daybook-bench-")
        .tempdir_in(&parent)
        .with_context(|| format!("no folder can be made in {}", parent.display()))?;
    let (dir, records) = (folder.path(), args.records);
    println!("{records} records of S3 notifications in requests of {BATCH}, on disk when answered");
    println!(
        "{:>11}  {:>10}  {:>16}  {:>7}",
        "CONNECTIONS", "RECORDS/s", "BARE LOOP/s", "RATIO"
    );
    let path = dir.join("daybook.toml");
    std::fs::write(&path, CONFIG)?;
    let config = Config::load(&path, None)?;
    let loopback = "127.0.0.1:0".parse()?;
    let server = Server::start(config, Roles::ALL, loopback, loopback, actor::name()).await?;
    let mut result = Ok(());
    for (round, connections) in args.connections.into_iter().enumerate() {
        result = measure(&server, dir, round, connections, records).await;
        if result.is_err() {
            break;
        }
    }
    if result.is_ok() {
        println!(
            "resident memory: {} MB (server and client)",
            resident_mb("self")?
        );
    }
    server.stop().await;
    result
}

async fn measure(
    server: &Server,
    dir: &Path,
    round: usize,
    connections: usize,
    records: usize,
) -> Result<()> {
    ensure!(connections > 0, "--connections must be greater than 0");
    let address = server.api;
    let requests = records.div_ceil(BATCH * connections);
    let before = server.log().head().await?;
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for connection in 0..connections {
        clients.spawn(post_all(address, format!("{round}-{connection}"), requests));
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    let elapsed = begun.elapsed();
    let records = requests * connections * BATCH;
    let recorded = server.log().head().await?.0 - before.0;
    ensure!(
        recorded >= records as u64,
        "{records} records were acknowledged, and {recorded} events are in the log"
    );
    let file = dir.join(format!("bare-{round}"));
    let bare = tokio::task::spawn_blocking(move || bare_loop(&file, connections, requests));
    let (ours, theirs) = (rate(records, elapsed), rate(records, bare.await??));
    println!(
        "{connections:>11}  {ours:>10.0}  {theirs:>16.0}  {:>7.2}",
        ours / theirs
    );
    Ok(())
}

async fn post_all(address: SocketAddr, name: String, requests: usize) -> Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut received = Vec::new();
    for number in 0..requests {
        let body = body(&name, number);
        let head = format!(
            "POST /v1/notifications HTTP/1.1\r\nHost: {address}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream
            .write_all(&[head.as_bytes(), body.as_bytes()].concat())
            .await?;
        let (status, answer) = read_answer(&mut stream, &mut received).await?;
        let accepted = answer.matches(r#""verdict":"accepted""#).count();
        ensure!(
            status == 200 && accepted == BATCH,
            "the intake answered {status}: {answer}"
        );
    }
    Ok(())
}

/// The records of one request, each of another key.
fn body(name: &str, number: usize) -> String {
    let records: Vec<String> = (0..BATCH)
        .map(|record| {
            format!(
                r#"{{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"eu-west-1","eventTime":"2026-03-04T10:11:12.345Z","eventName":"ObjectCreated:Put","userIdentity":{{"principalId":"AWS:AROAEXAMPLE:ingest"}},"requestParameters":{{"sourceIPAddress":"203.0.113.17"}},"responseElements":{{"x-amz-request-id":"014CBC7B29FDA84B","x-amz-id-2":"7BkznIJ7480T5SJLC"}},"s3":{{"s3SchemaVersion":"1.0","configurationId":"all","bucket":{{"name":"landing","ownerIdentity":{{"principalId":"A5A01FFC760F2"}},"arn":"arn:aws:s3:::landing"}},"object":{{"key":"in/{name}/{number}/{record}.csv","size":2048,"eTag":"24a3f6cb8d0dac1ec47fadf62eefbe17","sequencer":"0069A80BF0A1B2C3D4"}}}}}}"#
            )
        })
        .collect();
    format!(r#"{{"Records":[{}]}}"#, records.join(","))
}

/// One answer: its status and its body.
async fn read_answer(stream: &mut TcpStream, received: &mut Vec<u8>) -> Result<(u16, String)> {
    loop {
        if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&received[..end]).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length
                .context("an answer without a length")?
                .trim()
                .parse()?;
            let whole = end + 4 + length;
            if received.len() >= whole {
                let status = head
                    .split(' ')
                    .nth(1)
                    .context("an answer without a status")?;
                let status = status.parse()?;
                let answer = String::from_utf8_lossy(&received[end + 4..whole]).into_owned();
                received.drain(..whole);
                return Ok((status, answer));
            }
        }
        let mut chunk = vec![0; CHUNK_BYTES];
        let length = stream.read(&mut chunk).await?;
        ensure!(length > 0, "the intake closed the connection");
        received.extend_from_slice(&chunk[..length]);
    }
}

/// The same bytes into one file, synced once for all connections.
fn bare_loop(file: &Path, connections: usize, requests: usize) -> Result<Duration> {
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    let begun = Instant::now();
    for number in 0..requests {
        for connection in 0..connections {
            file.write_all(body(&format!("0-{connection}"), number).as_bytes())?;
        }
        file.sync_data()?;
    }
    Ok(begun.elapsed())
}
