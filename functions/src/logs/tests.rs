use std::io::Write;

use super::*;

#[test]
fn keeps_short_output_whole() {
    let mut buffer = LogBuffer::default();
    for _ in 0..HALF {
        buffer.push("ü".as_bytes());
    }
    let text = buffer.into_text();
    assert_eq!(text.len(), 2 * HALF);
    assert!(text.chars().all(|c| c == 'ü'));
}

#[test]
fn keeps_head_and_tail_of_long_output_and_counts_the_rest() {
    let mut buffer = LogBuffer::default();
    buffer.push(b"first");
    for _ in 0..100 {
        buffer.push(&[b'.'; 10_000]);
    }
    buffer.push(b"last");
    let text = buffer.into_text();
    assert!(text.starts_with("first..."));
    assert!(text.ends_with("...last"));
    let dropped = 1_000_009 - LOG_LIMIT_BYTES;
    assert!(text.contains(&format!("\n... {dropped} bytes dropped ...\n")));
    assert!(text.len() < LOG_LIMIT_BYTES + 64);
}

#[tokio::test]
async fn takes_what_is_in_the_pipe_without_waiting() {
    let (logs, mut writer) = Logs::open().unwrap();
    writer.write_all(b"one\n").unwrap();
    assert_eq!(logs.take(), "one\n");
    assert_eq!(logs.take(), "");
    writer.write_all(b"two\n").unwrap();
    assert_eq!(logs.take(), "two\n");
}
