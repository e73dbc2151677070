//! Those who mean harm, or do not know better: large, deep, packed and slow deliveries, and too many.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{arrivals, verdicts};
use crate::support::{Ledger, OPERATOR, PATIENCE, Server, UPPERCASE, eventually};

async fn send(server: &Server, coding: Option<&str>, body: Vec<u8>) -> (u16, Value) {
    let mut request = reqwest::Client::new()
        .post(format!("{}/v1/notifications", server.api))
        .header("content-type", "application/json")
        .body(body);
    if let Some(coding) = coding {
        request = request.header("content-encoding", coding);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or_default())
}

fn reason(answer: &Value) -> &str {
    answer["records"][0]["reason"].as_str().unwrap_or("-")
}

/// Whether it still does its work.
async fn assert_well(server: &Server, key: &str) {
    let (status, answer) = server
        .post("/v1/notifications", arrivals("ord", &[(key, "01", "x")]))
        .await;
    assert_eq!((status, verdicts(&answer)), (200, vec!["accepted"]));
}

#[tokio::test]
async fn large_deep_and_packed_deliveries_do_no_harm() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    // 10 MB that are sound, and 10 MB that are not.
    let mut sound = arrivals("ord", &[("large", "01", "x")])
        .to_string()
        .into_bytes();
    sound.resize(10 << 20, b' ');
    let (status, answer) = send(&server, None, sound).await;
    assert_eq!((status, verdicts(&answer)), (200, vec!["accepted"]));
    let key = "k".repeat(10 << 20);
    let long = arrivals("ord", &[(key.as_str(), "01", "x")]).to_string();
    let (status, answer) = send(&server, None, long.into_bytes()).await;
    assert_eq!((status, reason(&answer)), (400, "key-too-long"));
    assert!(
        answer.to_string().len() < 2_000,
        "a huge value is not given back"
    );
    // 10,000 deep.
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
        let (status, answer) = send(&server, None, deep.into_bytes()).await;
        assert_eq!((status, reason(&answer)), (400, "too-deep"));
    }
    // More than may be.
    let (status, answer) = send(&server, None, vec![b' '; 17 << 20]).await;
    assert_eq!((status, reason(&answer)), (413, "too-large"));
    // 1 GiB in about 1 MB.
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![b' '; 1 << 20];
    for _ in 0..1_024 {
        bomb.write_all(&zeros).unwrap();
    }
    let (status, answer) = send(&server, Some("gzip"), bomb.finish().unwrap()).await;
    assert_eq!((status, reason(&answer)), (413, "too-large"));
    let (status, _) = send(&server, Some("br"), b"x".to_vec()).await;
    assert_eq!(status, 415);
    assert_well(&server, "after").await;
    let resident = resident_bytes(&server);
    assert!(resident < 400 << 20, "{resident} bytes are resident");
}

fn resident_bytes(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

#[tokio::test]
async fn slow_clients_are_not_waited_for() {
    let ledger = Ledger::new(&format!(
        "{UPPERCASE}{OPERATOR}\n[intake]\nheader_timeout = \"500ms\"\nbody_timeout = \"500ms\"\n"
    ));
    let server = ledger.start().await;
    let address = server.api.strip_prefix("http://").unwrap().to_owned();
    let open = |said: String| {
        let address = address.clone();
        async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(said.as_bytes()).await.unwrap();
            stream
        }
    };
    let mut slow = Vec::new();
    for number in 0..200 {
        let said = match number % 2 {
            0 => "POST /v1/notifications HTTP/1.1\r\nhost: ".to_owned(),
            _ => format!(
                "POST /v1/notifications HTTP/1.1\r\nhost: {address}\r\ncontent-length: 5000\r\n\r\n{{"
            ),
        };
        slow.push(open(said).await);
    }
    // Meanwhile others are served.
    assert_well(&server, "meanwhile").await;
    for (number, mut stream) in slow.into_iter().enumerate() {
        let mut said = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said)).await;
        // Closed, with an answer where the request was known.
        read.expect("it is not waited for").ok();
        let said = String::from_utf8_lossy(&said);
        let answered = said.starts_with("HTTP/1.1 408");
        assert!(answered || number % 2 == 0, "{said}");
    }
}

#[tokio::test]
async fn an_overload_is_turned_away_and_loses_nothing_acknowledged() {
    let ledger = Ledger::new(&format!(
        "{UPPERCASE}{OPERATOR}\n[intake]\nin_flight_records = 20\n"
    ));
    let server = ledger.start().await;
    let http = reqwest::Client::new();
    let mut posts = tokio::task::JoinSet::new();
    for number in 0..200 {
        let keys: Vec<_> = (0..10).map(|at| format!("k{number}-{at}")).collect();
        let records: Vec<_> = keys.iter().map(|key| (key.as_str(), "01", "x")).collect();
        let body = arrivals("ord", &records);
        let request = http
            .post(format!("{}/v1/notifications", server.api))
            .json(&body);
        posts.spawn(async move {
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            let again = response.headers().contains_key("retry-after");
            let answer: Value = response.json().await.unwrap();
            (keys, status, again, answer)
        });
    }
    let (mut acknowledged, mut turned_away) = (Vec::new(), 0);
    while let Some(post) = posts.join_next().await {
        let (keys, status, again, answer) = post.unwrap();
        match status {
            200 => {
                assert!(
                    verdicts(&answer).iter().all(|it| *it == "accepted"),
                    "{answer:#}"
                );
                acknowledged.extend(keys);
            }
            429 | 503 => {
                assert!(again, "it says when to come again");
                turned_away += 1;
            }
            other => panic!("{other}: {answer:#}"),
        }
    }
    assert!(
        turned_away > 0 && !acknowledged.is_empty(),
        "{turned_away} of 200"
    );
    // The read side comes after the acknowledgement.
    let seen = eventually("all that was acknowledged is seen", || async {
        let created = server.events(&["ObjectCreated"]).await;
        (created.len() >= acknowledged.len()).then_some(created)
    });
    let created = seen.await;
    let recorded: std::collections::HashSet<String> = created
        .iter()
        .map(|event| event["stream"].as_str().unwrap().replace("object-ord/", ""))
        .collect();
    assert_eq!(recorded.len(), created.len(), "each is recorded once");
    for key in &acknowledged {
        assert!(recorded.contains(key), "{key} was acknowledged");
    }
    assert_eq!(
        recorded.len(),
        acknowledged.len(),
        "what was turned away left nothing"
    );
    tokio::time::timeout(Duration::from_secs(60), assert_well(&server, "after"))
        .await
        .unwrap();
}

/// Reads one answer: its head, in lower case, and the body that it announces.
async fn answer_of(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let mut lines = head.lines();
            let length = lines.find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.unwrap().parse().unwrap() {
                return text;
            }
        }
        let read = tokio::time::timeout(PATIENCE, stream.read_buf(&mut bytes)).await;
        let read = read.expect("an answer in time").unwrap();
        assert!(read > 0, "closed within an answer: {text}");
    }
}

/// Sends this and returns whether the answer has the status, and whether it takes leave.
async fn takes_leave(stream: &mut TcpStream, said: &str, status: u16) -> bool {
    stream.write_all(said.as_bytes()).await.unwrap();
    let told = answer_of(stream).await;
    assert!(
        told.starts_with(&format!("http/1.1 {status} ")),
        "{said:.80}: {told}"
    );
    told.contains("\r\nconnection: close\r\n")
}

#[tokio::test]
async fn who_is_not_heard_to_the_end_is_told_that_the_connection_ends() {
    let ledger = Ledger::new(&format!(
        "{UPPERCASE}{OPERATOR}\n[intake]\nlisten = \"127.0.0.1:0\"\nmax_body_size = \"1KiB\"\n\
         in_flight_size = \"1KiB\"\n[intake.open]\n"
    ));
    let server = ledger.start().await;
    let api = server.api.strip_prefix("http://").unwrap().to_owned();
    let intake = eventually("it says where stores deliver", || async {
        let log = server.log();
        let (_, rest) = log.split_once("deliveries   http://")?;
        let (address, _) = rest.split_once("/v1/notifications")?;
        Some(address.to_owned())
    });
    let intake = intake.await;
    for address in [&api, &intake] {
        let post = |path: &str, more: &str| {
            format!("POST {path} HTTP/1.1\r\nhost: {address}\r\n{more}\r\n")
        };
        let all_of = |path: &str, bytes: usize| {
            let length = format!("content-length: {bytes}\r\n");
            post(path, &length) + &" ".repeat(bytes)
        };
        // These were heard to the end, however they were answered, and share a connection.
        let mut stream = TcpStream::connect(address).await.unwrap();
        for (said, status) in [
            (all_of("/v1/notifications", 0), 400),
            (all_of("/v1/notifications", 10), 429),
            (all_of("/v1/notifications", 2_000), 413),
            (all_of("/v1/notifications/a%20b", 0), 404),
        ] {
            let leaves = takes_leave(&mut stream, &said, status).await;
            assert!(!leaves, "{status} to {said:.40}");
        }
        // Of these the rest is still to come.
        let chunk = |bytes: usize| format!("{bytes:x}\r\n{}\r\n", " ".repeat(bytes));
        let chunked = post("/v1/notifications", "transfer-encoding: chunked\r\n");
        let announced = "content-length: 100000\r\n";
        let typed = format!("{announced}content-type: text/html\r\n");
        let some = " ".repeat(3_000);
        for (said, status) in [
            (chunked + &chunk(900) + &chunk(3_000), 429),
            (post("/v1/notifications", announced) + &some, 413),
            (post("/v1/notifications", &typed) + &some, 415),
            (post("/v1/notifications/a%20b", announced), 404),
            (post("/v1/nothing", announced), 404),
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let leaves = takes_leave(&mut stream, &said, status).await;
            assert!(leaves, "{status} to {said:.40}");
            let ended = stream.read(&mut [0; 16]).await;
            assert!(ended.is_ok_and(|read| read == 0), "it ends");
        }
    }
    // What is refused before any route is.
    let mut stream = TcpStream::connect(&api).await.unwrap();
    let foreign = "POST /graphql HTTP/1.1\r\nhost: foreign.example\r\ncontent-length: 5\r\n\r\n";
    assert!(takes_leave(&mut stream, foreign, 403).await);
    share_a_connection(&api).await;
}

/// Questions that are heard to the end share a connection.
async fn share_a_connection(api: &str) {
    let mut stream = TcpStream::connect(api).await.unwrap();
    let query = r#"{"query":"{ __typename }"}"#;
    let said = format!(
        "POST /graphql HTTP/1.1\r\nhost: {api}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{query}",
        query.len()
    );
    for _ in 0..2 {
        assert!(!takes_leave(&mut stream, &said, 200).await);
    }
}
