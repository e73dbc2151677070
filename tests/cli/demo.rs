//! `daybook demo`: what a newcomer sees first.

use crate::support::Ledger;
use crate::support::clients::daybook;

use super::alone;

#[tokio::test]
async fn the_demo_tells_its_story() {
    let told = alone(&["demo"]).await.ok();
    insta::assert_snapshot!(redacted(&told));
}

#[tokio::test]
async fn a_kept_demo_can_be_served() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    let arguments = ["demo", "--keep", "--dir", kept.to_str().unwrap()];
    let told = alone(&arguments).await.ok();
    let how = format!("daybook serve --config {}/daybook.toml", kept.display());
    assert!(told.contains(&how), "{told}");
    let again = alone(&arguments).await.failed(1);
    assert!(
        again.contains("exists; remove it, or name another"),
        "{again}"
    );

    let server = Ledger::at(&kept, "daybook-data").start().await;
    let objects = daybook(&server, &["objects", "--output", "json"]).await;
    assert_eq!(objects.json().as_array().unwrap().len(), 9);
    let told = daybook(&server, &["show", "s3://inbox/broken.txt"])
        .await
        .ok();
    assert!(told.contains("NotText"), "{told}");
}

/// What the demo told, without what differs from one run to the next: times, ids, digests of code,
/// durations, and the order in which objects arrived at the same time.
fn redacted(told: &str) -> String {
    let mut lines: Vec<String> = told
        .lines()
        .map(|line| {
            let mut words: Vec<String> = line.split(' ').map(word).collect();
            for at in 2..words.len() {
                if words[at - 2] == "after" && words[at].starts_with("ms") {
                    words[at - 1] = "[number]".to_owned();
                }
            }
            words.join(" ")
        })
        .collect();
    let listed = |line: &String| {
        let statuses = ["SUCCEEDED", "FAILED", "UNMATCHED"];
        let first = line.split_whitespace().next();
        first.is_some_and(|first| statuses.contains(&first)) && line.contains("  s3://")
    };
    let from = lines.iter().position(listed).expect("a table of objects");
    let to = from + lines[from..].iter().take_while(|line| listed(line)).count();
    lines[from..to].sort();
    lines.join("\n")
}

fn word(word: &str) -> String {
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let shape: String = word
        .chars()
        .map(|letter| if letter.is_ascii_digit() { '0' } else { letter })
        .collect();
    let bare = word.trim_end_matches(')');
    match shape.as_str() {
        "0000-00-00" => "[date]".to_owned(),
        "00:00:00.000" => "[time]".to_owned(),
        _ if word.len() == 36 && word.split('-').count() == 5 => "[id]".to_owned(),
        _ if word.len() == 8 && hex(word) => "[short-id]".to_owned(),
        _ if bare.len() == 12 && hex(bare) => word.replace(bare, "[sha256]"),
        _ => word.to_owned(),
    }
}
