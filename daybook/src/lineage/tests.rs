use super::*;

#[test]
fn a_tree_is_told_from_both_ends() {
    let object = json!({
        "cameFrom": [{
            "id": "e1", "pipelineName": "convert", "status": "FAILED",
            "writer": { "attempt": 2, "status": "FAILED" },
            "objects": [
                { "bucket": "inbox", "key": "a", "executions": [], "ranges": null },
                { "bucket": "inbox", "key": "b", "again": true, "ranges": [{ "first": 0, "last": 9 }] },
            ],
        }],
        "ledTo": [{
            "id": "e2", "pipelineName": "report", "status": "SUCCEEDED",
            "objects": [{ "bucket": "final", "key": "c", "executions": [
                { "id": "e3", "pipelineName": "send", "status": "RUNNING", "objects": [] },
            ] }],
        }],
    });
    assert_eq!(
        tell_object(&object),
        "\nread by execution e2 of pipeline report  SUCCEEDED\
         \n  wrote s3://final/c\
         \n    read by execution e3 of pipeline send  RUNNING\
         \nwritten by execution e1 of pipeline convert  FAILED (by attempt 2, which is FAILED)\
         \n  read s3://inbox/a\
         \n  read s3://inbox/b (bytes 0-9) (told above)"
    );
}

#[test]
fn the_writing_attempt_is_found_by_task_and_number() {
    let execution = json!({
        "attempts": [
            { "task": 1, "attempt": 1, "status": "FAILED" },
            { "task": 1, "attempt": 2, "status": "SUCCEEDED" },
        ],
        "writtenObjects": [
            { "task": 1, "attempt": 1, "bucket": "b", "key": "k", "versionId": "v1" },
            { "task": 1, "attempt": 2, "bucket": "b", "key": "k", "versionId": "v2" },
        ],
    });
    let of = |version: &str| {
        let object = json!({ "bucket": "b", "key": "k", "versionId": version });
        writer(&execution, &object)["status"].clone()
    };
    assert_eq!(of("v1"), "FAILED");
    assert_eq!(of("v2"), "SUCCEEDED");
    assert_eq!(of("v3"), Value::Null);
}
