//! Buckets of other stores, with the whole program: moto, and another Daybook.

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::clients::{aws, daybook, python};
use crate::support::store::Store;
use crate::support::{ACCESS_KEY, Ledger, OPERATOR, SECRET_KEY, UPPERCASE, eventually};

/// More than the 8 MiB from which on boto3 and the AWS command line send an object in parts.
const BIG: usize = 20 * 1024 * 1024 + 1;

/// [`UPPERCASE`] over the buckets `company-raw` and `company-cooked` of a store.
fn upstream(endpoint: &str, names: [&str; 2], more: &str) -> Ledger {
    let mut config = format!("{UPPERCASE}{OPERATOR}{more}");
    for (path, there) in [("inbox", names[0]), ("results", names[1])] {
        let table = format!(
            "upstream = {{ bucket = \"{there}\", endpoint = \"{endpoint}\", \
             access_key = \"{ACCESS_KEY}\", secret_key = {{ file = \"store-secret\" }} }}"
        );
        config = config.replace(&format!("path = \"{path}\""), &table);
    }
    let ledger = Ledger::new(&config);
    ledger.write("store-secret", SECRET_KEY);
    ledger
}

#[tokio::test]
async fn a_function_reads_from_one_bucket_of_a_store_and_writes_to_another() {
    let store = Store::start(&["company-raw", "company-cooked"]).await;
    let ledger = upstream(&store.endpoint, ["company-raw", "company-cooked"], "");
    let server = ledger.start().await;
    server
        .client()
        .put("inbox", "a b.txt", "grüße\n".into())
        .await
        .unwrap();
    let object = server.settled("inbox", "a b.txt").await;
    assert_eq!(object["status"], "SUCCEEDED");
    let (headers, body) = store.get("company-cooked/a%20b.txt").await;
    assert_eq!(body, "GRÜSSE\n");
    assert!(headers.contains_key("x-amz-meta-daybook-stamp"));

    let (headers, body) = store.get("company-raw/a%20b.txt").await;
    assert_eq!(body, "grüße\n");
    let version = headers["x-amz-version-id"].to_str().unwrap();
    assert_eq!(object["versionId"], version);
    let execution = &object["executions"]["nodes"][0];
    let read = &execution["readObjects"][0];
    assert_eq!(
        (&read["bucket"], &read["key"]),
        (&json!("inbox"), &json!("a b.txt"))
    );
    assert_eq!(read["versionId"], version);
    // This bucket keeps no versions.
    let written = &execution["writtenObjects"][0];
    assert_eq!(written["bucket"], "results");
    assert_eq!(written["versionId"], json!(null));
    let etag = hex::encode(md5::Md5::digest("GRÜSSE\n"));
    assert_eq!(written["etag"], etag);
    assert_eq!(written["size"], 8);

    let created = server.events(&["ObjectCreated"]).await;
    let [_, result] = &created[..] else {
        panic!("two objects: {created:#?}");
    };
    let recorded = &result["data"]["version"];
    assert_eq!(recorded["etag"], etag);
    assert!(recorded["modified_at"].is_string(), "{recorded}");
    assert_eq!(result["data"]["produced_by"]["function"], "uppercase");
    let told = daybook(&server, &["show", "s3://inbox/a b.txt"]).await.ok();
    assert!(
        told.contains(", read s3://inbox/a b.txt, wrote s3://results/a b.txt\n"),
        "{told}"
    );
    let told = daybook(&server, &["show", "s3://results/a b.txt"]).await;
    let told = told.ok();
    assert!(told.contains("\nwritten by execution "), "{told}");
}

#[tokio::test]
async fn a_read_is_pinned_where_the_store_keeps_versions() {
    let store = Store::start(&["company-raw", "company-cooked"]).await;
    let ledger = upstream(&store.endpoint, ["company-raw", "company-cooked"], "");
    let server = ledger.start().await;
    let client = server.client();
    client
        .put("inbox", "k.txt", bytes::Bytes::from_static(b"\xff"))
        .await
        .unwrap();
    let object = server.settled("inbox", "k.txt").await;
    let failed = &object["executions"]["nodes"][0];
    assert_eq!(failed["error"], "NotText");
    let (version, failed) = (object["versionId"].clone(), failed["id"].clone());
    client.put("inbox", "k.txt", "text".into()).await.unwrap();
    eventually("the newer version was run", || async {
        let (_, body) = store.get("company-cooked/k.txt").await;
        (body == "TEXT").then_some(())
    })
    .await;
    let redrive = ["redrive", failed.as_str().unwrap(), "--output", "json"];
    let answer = daybook(&server, &redrive).await.json();
    let again = eventually("it ran again", || async {
        let id = json!({ "id": answer["execution"] });
        let execution = server.query(EXECUTION, id).await["execution"].take();
        (execution["status"] == "FAILED").then_some(execution)
    })
    .await;
    // The version that triggered was read again, not the text that is there now.
    assert_eq!(again["error"], "NotText");
    assert_eq!(again["readObjects"][0]["versionId"], version);
}

#[tokio::test]
async fn tools_see_the_same_api_in_front_of_moto() {
    let store = Store::start(&["company-raw", "company-cooked"]).await;
    let ledger = upstream(&store.endpoint, ["company-raw", "company-cooked"], "");
    let server = ledger.start().await;
    let body: Vec<u8> = (0..BIG).map(|at| (at % 251) as u8).collect();
    ledger.write("big", &body);
    ledger.write("small", "hello");
    let (big, small) = (ledger.path("big"), ledger.path("small"));
    let (big, small) = (big.to_str().unwrap(), small.to_str().unwrap());
    aws(&server, &["s3", "cp", big, "s3://inbox/big"])
        .await
        .ok();
    aws(&server, &["s3", "cp", small, "s3://inbox/d/small"])
        .await
        .ok();
    let copy = ["s3", "cp", "s3://inbox/big", "s3://results/copy"];
    aws(&server, &copy).await.ok();
    let back = ledger.path("back");
    let back = back.to_str().unwrap();
    aws(&server, &["s3", "cp", "s3://results/copy", back])
        .await
        .ok();
    assert!(std::fs::read(back).unwrap() == body);
    let listed = aws(&server, &["s3", "ls", "s3://inbox/"]).await.ok();
    assert!(listed.contains("PRE d/"), "{listed}");

    let api = |arguments: &'static [&'static str]| {
        let server = &server;
        async move { aws(server, &[&["s3api"], arguments].concat()).await }
    };
    let small = ["--bucket", "inbox", "--key", "d/small"];
    let [bucket, inbox, key, name] = small;
    let tags = "TagSet=[{Key=a,Value=b}]";
    aws(
        &server,
        &[
            "s3api",
            "put-object-tagging",
            bucket,
            inbox,
            key,
            name,
            "--tagging",
            tags,
        ],
    )
    .await
    .ok();
    let tags = aws(
        &server,
        &["s3api", "get-object-tagging", bucket, inbox, key, name],
    )
    .await;
    assert_eq!(tags.json()["TagSet"], json!([{ "Key": "a", "Value": "b" }]));
    aws(&server, &["s3", "rm", "s3://inbox/d/small"]).await.ok();
    let versions = api(&[
        "list-object-versions",
        "--bucket",
        "inbox",
        "--prefix",
        "d/",
    ])
    .await;
    let versions = versions.json();
    assert_eq!(versions["Versions"].as_array().unwrap().len(), 1);
    assert_eq!(versions["DeleteMarkers"][0]["IsLatest"], true);
    let id = versions["Versions"][0]["VersionId"].as_str().unwrap();
    let get = [
        "s3api",
        "get-object",
        bucket,
        inbox,
        key,
        name,
        "--version-id",
        id,
        back,
    ];
    let got = aws(&server, &get).await.json();
    assert_eq!(got["ContentLength"], 5);
    let removed = server.events(&["ObjectRemoved"]).await;
    let [removed] = &removed[..] else {
        panic!("one removal: {removed:#?}");
    };
    assert_eq!(
        removed["data"]["event_name"],
        "ObjectRemoved:DeleteMarkerCreated"
    );
    assert_eq!(removed["data"]["version"]["version_id"], id);
}

#[tokio::test]
async fn another_daybook_is_a_store_like_any_other() {
    let behind = Ledger::uppercase();
    let store = behind.start().await;
    let ledger = upstream(&store.s3, ["inbox", "results"], "");
    let server = ledger.start().await;
    let body: Vec<u8> = (0..BIG).map(|at| (at % 251) as u8).collect();
    ledger.write("big", &body);
    let big = ledger.path("big");
    let arguments = ["inbox".as_ref(), big.as_os_str()];
    let said = python(&server, "boto3_story.py", &arguments).await.json();
    assert_eq!(said["sha256"], hex::encode(Sha256::digest(&body)));
    assert_eq!(
        said["metadata"],
        json!({ "origin": "boto3", "note": "a b" })
    );
    for (what, wanted) in [
        ("size", json!(BIG)),
        ("parts", json!(3)),
        ("bodies", json!(true)),
        ("listed", json!(true)),
        ("missing", json!("NoSuchKey")),
        ("elsewhere", json!("NoSuchBucket")),
        ("deleted", json!(20)),
        ("left", json!([])),
    ] {
        assert_eq!(said[what], wanted, "{what}");
    }
    let removed = server.events(&["ObjectRemoved"]).await;
    assert_eq!(removed.len(), 21);

    // Without a key in the config the environment is asked, as by AWS's own tools.
    drop(server);
    let config = std::fs::read_to_string(ledger.config()).unwrap();
    let given =
        format!("access_key = \"{ACCESS_KEY}\", secret_key = {{ file = \"store-secret\" }}");
    assert!(config.contains(&given));
    ledger.write("daybook.toml", config.replace(&format!(", {given}"), ""));
    ledger.write(
        "aws-credentials",
        format!(
            "[there]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
        ),
    );
    let file = ledger.path("aws-credentials");
    let server = ledger
        .start_with(&[
            ("AWS_SHARED_CREDENTIALS_FILE", file.as_os_str()),
            ("AWS_CONFIG_FILE", "/dev/null".as_ref()),
            ("AWS_PROFILE", "there".as_ref()),
            ("AWS_EC2_METADATA_DISABLED", "true".as_ref()),
        ])
        .await;
    server.client().put("inbox", "k", "x".into()).await.unwrap();
    assert_eq!(store.client().get("inbox", "k").await.unwrap(), "x");
}

const EXECUTION: &str =
    "query ($id: ID!) { execution(id: $id) { status error readObjects { versionId } } }";
