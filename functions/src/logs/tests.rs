use std::io::Write;

use super::*;

#[test]
fn keeps_short_output_whole() {
    let mut buffer = LogBuffer::new(LOG_LIMIT_BYTES, Masks::default());
    for _ in 0..LOG_LIMIT_BYTES / 2 {
        buffer.push("ü".as_bytes());
    }
    let text = buffer.take();
    assert_eq!(text.len(), LOG_LIMIT_BYTES);
    assert!(text.chars().all(|c| c == 'ü'));
}

#[test]
fn keeps_head_and_tail_of_long_output_and_counts_the_rest() {
    let mut buffer = LogBuffer::new(LOG_LIMIT_BYTES, Masks::default());
    buffer.push(b"first");
    for _ in 0..100 {
        buffer.push(&[b'.'; 10_000]);
    }
    buffer.push(b"last");
    let text = buffer.take();
    assert!(text.starts_with("first..."));
    assert!(text.ends_with("...last"));
    let dropped = 1_000_009 - LOG_LIMIT_BYTES;
    assert!(text.contains(&format!("\n... {dropped} bytes dropped ...\n")));
    assert!(text.len() < LOG_LIMIT_BYTES + 64);
}

#[tokio::test]
async fn takes_what_is_in_the_pipe_without_waiting() {
    let (logs, mut writer) =
        Logs::open(LOG_LIMIT_BYTES, LOG_LIMIT_LINES, Masks::default()).unwrap();
    writer.write_all(b"one\n").unwrap();
    assert_eq!(logs.take(), "one\n");
    assert_eq!(logs.take(), "");
    writer.write_all(b"two\n").unwrap();
    assert_eq!(logs.take(), "two\n");
}

#[test]
fn long_output_loses_its_middle_lines() {
    let text: String = (1..=10).map(|line| format!("{line}\n")).collect();
    assert_eq!(bounded(text.clone(), 10), text);
    assert_eq!(
        bounded(text, 5),
        "1\n2\n3\n... 5 lines dropped ...\n9\n10\n"
    );
}

#[test]
fn the_hosts_lines_stand_alone_and_secrets_do_not_come_in() {
    let secrets = [("TOKEN", "sesame-open")];
    let mut buffer = LogBuffer::new(LOG_LIMIT_BYTES, Masks::new(secrets.into_iter()));
    buffer.push(b"it is sesame");
    buffer.push(b"-open, and sesame");
    buffer.note("END");
    assert_eq!(buffer.take(), "it is ***TOKEN***, and sesame\nEND\n");
}

#[test]
fn a_reader_gets_what_is_new_and_learns_what_it_missed() {
    let mut buffer = LogBuffer::new(8, Masks::default());
    buffer.push(b"one\n");
    assert_eq!(buffer.after(0), ("one\n".to_owned(), 4, 0));
    buffer.push(b"two\n");
    assert_eq!(buffer.after(4), ("two\n".to_owned(), 8, 0));
    assert_eq!(buffer.after(8), (String::new(), 8, 0));
    buffer.push(b"three\n");
    assert_eq!(buffer.after(8), ("ree\n".to_owned(), 14, 2));
    assert_eq!(buffer.after(0), ("one\nree\n".to_owned(), 14, 6));
}
