//! What is kept of that which is refused, and what not.

use bytes::Bytes;
use daybook_intake::Transport;

use super::*;

/// What is kept of a body by default.
const BODY_BYTES: usize = 64 << 10;

fn why() -> Why {
    Why {
        reason: "json-syntax",
        detail: "$: it is no JSON".to_owned(),
        records: 1,
    }
}

fn delivery(body: &[u8]) -> Delivery {
    Delivery {
        transport: Transport::Http,
        method: "POST".to_owned(),
        headers: vec![
            ("authorization".to_owned(), "Bearer hunter2".to_owned()),
            ("x-goog-channel-token".to_owned(), "hunter2".to_owned()),
            ("user-agent".to_owned(), "x".repeat(10_000)),
        ],
        query: vec![("secret".to_owned(), "hunter2".to_owned())],
        body: Bytes::copy_from_slice(body),
    }
}

fn open(dir: &tempfile::TempDir, most: usize, most_bytes: u64) -> Rejected {
    let config = RejectedConfig {
        folder: Some(dir.path().join("rejected")),
        most,
        most_bytes,
        ..RejectedConfig::default()
    };
    Rejected::open(config).unwrap()
}

#[test]
fn a_delivery_is_kept_without_its_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let rejected = open(&dir, 10, 1 << 20);
    assert!(
        rejected
            .keep(Some(&"minio".parse().unwrap()), &delivery(b"{"), &why())
            .is_some()
    );
    let [brief] = &rejected.list(10)[..] else {
        panic!("one is kept")
    };
    assert!(brief.body.is_none() && brief.headers.is_empty());
    let whole = rejected.show(&brief.id).unwrap();
    assert_eq!(whole.body.as_deref(), Some("{"));
    assert_eq!(
        (whole.reason.as_str(), whole.source.as_deref()),
        ("json-syntax", Some("minio"))
    );
    let json = serde_json::to_string(&whole).unwrap();
    assert!(!json.contains("hunter2") && json.len() < 2_000, "{json}");
}

#[test]
fn what_is_no_text_is_kept_as_bytes_and_only_its_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let rejected = open(&dir, 10, 1 << 20);
    let long = [b"\xff".as_slice(), &vec![b'x'; 10 << 20]].concat();
    assert!(rejected.keep(None, &delivery(&long), &why()).is_some());
    let kept = rejected.show(&rejected.list(1)[0].id).unwrap();
    assert_eq!(kept.body_bytes, long.len());
    assert!(kept.body_base64.unwrap().len() < 100_000);
    // A cut within a character is no reason to show bytes.
    let text = format!("{}ä", "x".repeat(BODY_BYTES - 1));
    assert!(
        rejected
            .keep(None, &delivery(text.as_bytes()), &why())
            .is_some()
    );
    let kept = rejected.list(2);
    let bodies = kept.iter().map(|it| rejected.show(&it.id).unwrap().body);
    assert!(
        bodies
            .into_iter()
            .any(|it| it.is_some_and(|it| it.len() == BODY_BYTES - 1))
    );
}

#[test]
fn the_oldest_go_first_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let rejected = open(&dir, 3, 1 << 20);
    for number in 0..5 {
        assert!(
            rejected
                .keep(None, &delivery(number.to_string().as_bytes()), &why())
                .is_some()
        );
    }
    assert_eq!(rejected.list(10).len(), 3);
    let reopened = open(&dir, 3, 1 << 20);
    assert_eq!(reopened.list(10).len(), 3);
    assert!(reopened.keep(None, &delivery(b"5"), &why()).is_some());
    assert_eq!(reopened.list(10).len(), 3);
    let files = fs::read_dir(dir.path().join("rejected")).unwrap().count();
    assert_eq!(files, 3);
}

#[test]
fn a_flood_is_not_written_down() {
    let dir = tempfile::tempdir().unwrap();
    let rejected = open(&dir, 1_000, 1 << 30);
    let at = Timestamp::UNIX_EPOCH;
    let let_in = (0..1_000).filter(|_| rejected.room_at(at)).count();
    assert_eq!(let_in, 20);
    // Nobody is told that something was kept which was not.
    let now = (0..100).filter_map(|_| rejected.keep(None, &delivery(b"{"), &why()));
    assert_eq!(now.count(), rejected.list(1_000).len());
}

#[test]
fn a_name_leads_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("secret.json"), "{}").unwrap();
    let rejected = open(&dir, 10, 1 << 20);
    for id in ["../secret", "", "a/b", "nothing"] {
        assert!(rejected.show(id).is_none(), "{id}");
    }
}

#[test]
fn it_is_known_what_is_still_there() {
    let dir = tempfile::tempdir().unwrap();
    let rejected = open(&dir, 1, 1 << 20);
    let keep = |rejected: &Rejected| rejected.keep(None, &delivery(b"{"), &why()).unwrap();
    let first = keep(&rejected);
    assert!(rejected.holds(&first));
    let second = keep(&rejected);
    assert!(!rejected.holds(&first) && rejected.holds(&second));
    // Where none may be there, none is, though each was written.
    let dir = tempfile::tempdir().unwrap();
    let none = open(&dir, 0, 1 << 20);
    assert!(!none.holds(&keep(&none)));
}
