//! What a handler without a line of Daybook's code read and wrote, told from both ends; and what
//! becomes of one that writes where it is triggered.

use serde_json::{Value, json};

use crate::support::clients::{daybook, link_python};
use crate::support::{Ledger, OPERATOR, Server, eventually};

/// Reads a part of what triggers it, a table beside it and the metadata of another one; writes
/// one object at once, one in parts and a copy; tries what it may not.
const TOUCHING: &str = r#"
import boto3
from botocore.exceptions import ClientError

s3 = boto3.client("s3")


def handler(event, context):
    where = event["Records"][0]["s3"]
    bucket, key = where["bucket"]["name"], where["object"]["key"]
    s3.get_object(Bucket=bucket, Key=key, Range="bytes=0-9")
    s3.get_object(Bucket=bucket, Key=key, Range="bytes=5-19")
    s3.get_object(Bucket="tables", Key="prices.csv")["Body"].read()
    s3.head_object(Bucket="tables", Key="rates.csv")
    s3.put_object(Bucket="results", Key="one", Body=b"1")
    upload = s3.create_multipart_upload(Bucket="results", Key="two")["UploadId"]
    part = s3.upload_part(Bucket="results", Key="two", UploadId=upload, PartNumber=1, Body=b"2")
    s3.complete_multipart_upload(
        Bucket="results",
        Key="two",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    s3.copy_object(Bucket="results", Key="three", CopySource={"Bucket": "tables", "Key": "rates.csv"})
    try:
        s3.put_object(Bucket="tables", Key="prices.csv", Body=b"0")
    except ClientError as error:
        return error.response["Error"]["Code"]
"#;

const COUNTING: &str = r#"
import boto3

s3 = boto3.client("s3")


def handler(event, context):
    for record in event["Records"]:
        body = s3.get_object(Bucket="results", Key=record["s3"]["object"]["key"])["Body"].read()
        s3.put_object(Bucket="counts", Key="count", Body=str(len(body)).encode())
"#;

const EXECUTION: &str = "query($bucket: String!, $key: String!) {
  object(bucket: $bucket, key: $key) {
    executions(last: 1) { nodes {
      id output error cause attempts { refused }
      readObjects { bucket key versionId size ranges { first last } object { versionId } }
      writtenObjects { bucket key versionId object { versionId producedBy { execution { id } } } }
    } }
  }
}";

fn touching() -> Ledger {
    let ledger = Ledger::new(&format!(
        r#"{OPERATOR}
        [buckets.inbox]
        path = "inbox"
        [buckets.tables]
        path = "tables"
        [buckets.results]
        path = "results"
        [buckets.counts]
        path = "counts"
        [pipelines.touch]
        on = [{{ bucket = "inbox" }}]
        run = "touch"
        [pipelines.count]
        on = [{{ bucket = "results", prefix = "three" }}]
        run = "count"
        [functions.touch]
        runtime = "python"
        code = "touch"
        handler = "handler.handler"
        read = ["inbox/*", "tables/*"]
        write = ["results/*"]
        [functions.count]
        runtime = "python"
        code = "count"
        handler = "handler.handler"
        write = ["counts/*"]
        "#
    ));
    ledger.write("touch/handler.py", TOUCHING);
    ledger.write("count/handler.py", COUNTING);
    link_python(&ledger.path("touch"));
    link_python(&ledger.path("count"));
    ledger
}

#[tokio::test]
async fn all_that_a_handler_touches_is_in_its_lineage() {
    let ledger = touching();
    let server = ledger.start().await;
    let client = server.client();
    for table in ["prices.csv", "rates.csv"] {
        client.put("tables", table, "1,2\n".into()).await.unwrap();
    }
    let body = "some text that is longer than thirty bytes";
    client.put("inbox", "a.txt", body.into()).await.unwrap();
    let object = server.settled("inbox", "a.txt").await;
    assert_eq!(object["status"], "SUCCEEDED");
    let about = json!({ "bucket": "inbox", "key": "a.txt" });
    let mut answer = server.query(EXECUTION, about).await;
    let execution = answer["object"]["executions"]["nodes"][0].take();
    assert_eq!(execution["output"], "AccessDenied");

    let read = of(&execution["readObjects"], |it| {
        (name(it), it["ranges"].clone())
    });
    let part = json!([{ "first": 0, "last": 19 }]);
    let expected = [
        ("inbox/a.txt".to_owned(), part),
        ("tables/prices.csv".to_owned(), Value::Null),
        ("tables/rates.csv".to_owned(), Value::Null),
    ];
    // The head of the rates comes first, the copy reads them whole.
    assert_eq!(read, expected);
    let written = of(&execution["writtenObjects"], name);
    assert_eq!(written, ["results/one", "results/two", "results/three"]);
    for access in [&execution["readObjects"], &execution["writtenObjects"]] {
        for it in access.as_array().unwrap() {
            assert_eq!(it["object"]["versionId"], it["versionId"], "{it}");
        }
    }
    for it in execution["writtenObjects"].as_array().unwrap() {
        assert_eq!(
            it["object"]["producedBy"]["execution"]["id"],
            execution["id"]
        );
    }
    let refused = execution["attempts"][0]["refused"].to_string();
    assert!(
        refused.contains("add write = [\\\"tables/*\\\"]"),
        "{refused}"
    );

    server.settled("results", "three").await;
    graph_is_told(&server, execution["id"].as_str().unwrap()).await;
}

async fn graph_is_told(server: &Server, execution: &str) {
    let told = daybook(server, &["show", "s3://counts/count"]).await.ok();
    let from = told
        .split("\nwritten by execution ")
        .nth(1)
        .expect("a writer");
    for line in [
        " of pipeline count  SUCCEEDED\n  read s3://results/three\n    written by execution ",
        &format!("{execution} of pipeline touch  SUCCEEDED"),
        "\n      read s3://inbox/a.txt (bytes 0-19)",
        "\n      read s3://tables/prices.csv",
    ] {
        assert!(from.contains(line), "{line:?} is not told:\n{told}");
    }
    let told = daybook(server, &["show", "s3://inbox/a.txt"]).await.ok();
    for line in [
        "\nread by execution ",
        "\n  wrote s3://results/one",
        "\n  wrote s3://results/three\n    read by execution ",
        "\n      wrote s3://counts/count",
    ] {
        assert!(told.contains(line), "{line:?} is not told:\n{told}");
    }
    let shown = daybook(server, &["show", execution, "--output", "json"]).await;
    let shown = shown.json();
    let counted = &shown["ledTo"][2]["executions"][0];
    assert_eq!(counted["pipelineName"], "count", "{shown:#}");
    assert_eq!(counted["objects"][0]["key"], "count");
}

const COPYING: &str = r#"
import boto3

s3 = boto3.client("s3")


def handler(event, context):
    for record in event["Records"]:
        key = record["s3"]["object"]["key"]
        source = {"Bucket": "inbox", "Key": key}
        s3.copy_object(Bucket="inbox", Key=key + "-again", CopySource=source)
"#;

#[tokio::test]
async fn a_loop_is_stopped_at_its_depth_and_named() {
    let ledger = Ledger::new(&format!(
        r#"{OPERATOR}
        [buckets.inbox]
        path = "inbox"
        [pipelines.copy]
        on = [{{ bucket = "inbox" }}]
        run = "copy"
        [functions.copy]
        runtime = "python"
        code = "copy"
        handler = "handler.handler"
        write = ["inbox/*"]
        [limits]
        loop_depth = 2
        "#
    ));
    ledger.write("copy/handler.py", COPYING);
    link_python(&ledger.path("copy"));
    let server = ledger.start().await;
    server.client().put("inbox", "a", "x".into()).await.unwrap();
    for key in ["a", "a-again"] {
        assert_eq!(server.settled("inbox", key).await["status"], "SUCCEEDED");
    }
    let last = server.settled("inbox", "a-again-again").await;
    let stopped = &last["executions"]["nodes"][0];
    assert_eq!(stopped["status"], "FAILED");
    assert_eq!(stopped["error"], "Daybook.LoopDetected");
    let cause = stopped["cause"].as_str().unwrap();
    let named = "pipeline copy has run 2 times on what it wrote itself";
    assert!(cause.starts_with(named), "{cause}");
    assert_eq!(stopped["attempts"], json!([]));

    // A person who asks for it gets one more round, and no second one.
    let id = stopped["id"].as_str().unwrap();
    daybook(&server, &["redrive", id]).await.ok();
    eventually("the next round is stopped as well", || async {
        let about = json!({ "bucket": "inbox", "key": "a-again-again-again" });
        let answer = server.query(EXECUTION, about).await;
        let execution = &answer["object"]["executions"]["nodes"][0];
        (execution["error"] == "Daybook.LoopDetected").then_some(())
    })
    .await;
    let about = json!({ "bucket": "inbox", "key": "a-again-again-again-again" });
    assert_eq!(server.query(EXECUTION, about).await["object"], Value::Null);
}

fn of<T>(list: &Value, about: impl Fn(&Value) -> T) -> Vec<T> {
    list.as_array().unwrap().iter().map(about).collect()
}

fn name(access: &Value) -> String {
    let text = |field: &str| access[field].as_str().unwrap().to_owned();
    format!("{}/{}", text("bucket"), text("key"))
}
