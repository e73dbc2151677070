use super::*;

#[track_caller]
fn check(logs: &str, duration: Option<u64>, init: Option<u64>, megabytes: Option<u64>) {
    let read = Figures::from_logs(logs);
    let most = megabytes.map(|it| it << 20);
    assert_eq!(
        (read.duration_ms, read.init_ms, read.max_memory_bytes),
        (duration, init, most),
        "{logs}"
    );
}

#[test]
fn the_report_line_is_read() {
    check(
        "START RequestId: 1 Version: $LATEST\nhello\nEND RequestId: 1\nREPORT RequestId: 1\t\
         Duration: 12.34 ms\tBilled Duration: 13 ms\tMemory Size: 128 MB\tMax Memory Used: 38 MB\t\
         Init Duration: 110.00 ms\t\n",
        Some(13),
        Some(110),
        Some(38),
    );
    // A warm one.
    check(
        "REPORT RequestId: 1\tDuration: 2.00 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\t\
         Max Memory Used: 40 MB\t\nXRAY TraceId: 1-2-3\tSegmentId: 4\tSampled: true\t\n",
        Some(2),
        None,
        Some(40),
    );
}

#[test]
fn what_is_cut_off_or_odd_is_not_guessed() {
    check("", None, None, None);
    check("the tail of a long text\n", None, None, None);
    check(
        "REPORT RequestId: 1\tDuration: quick\tMax Memory Used: 3 GB",
        None,
        None,
        None,
    );
    // A handler may print such a line: the last one is Lambda's.
    check(
        "REPORT RequestId: 0\tDuration: 9999 ms\nREPORT RequestId: 1\tDuration: 5 ms\t",
        Some(5),
        None,
        None,
    );
}

#[test]
fn what_is_billed_is_read() {
    let line = "REPORT RequestId: 1\tDuration: 12.34 ms\tBilled Duration: 123 ms\t\
                Memory Size: 128 MB\tMax Memory Used: 38 MB\tInit Duration: 110.00 ms\t\n";
    let read = Figures::from_logs(line);
    assert_eq!(
        (read.billed_ms, read.memory_bytes),
        (Some(123), Some(128 << 20))
    );
}
