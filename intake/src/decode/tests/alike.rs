//! MinIO and Ceph, whose records look like those of S3.

use super::*;

fn minio(event_name: &str, key: &str) -> Value {
    let mut record = s3_record(event_name);
    record["eventSource"] = json!("minio:s3");
    record["eventVersion"] = json!("2.0");
    record["s3"]["object"]["key"] = json!(key);
    record
}

#[test]
fn minio_encodes_keys_within_its_envelope_only() {
    let record = minio("s3:ObjectCreated:Put", "dir%2Fa+b%2Bc");
    let enveloped = json!({
        "EventName": "s3:ObjectCreated:Put", "Key": "inbox/dir/a b+c", "Records": [record]
    });
    assert_eq!(
        one(&delivery(Transport::Http, enveloped)).key.as_str(),
        "dir/a b+c"
    );
    let bare = json!({ "Records": [record] });
    assert_eq!(
        one(&delivery(Transport::Stream, bare)).key.as_str(),
        "dir%2Fa+b%2Bc"
    );
    for (name, key) in [
        ("s3:ObjectCreated:Copy", "inbox/dir/a b+c"),
        ("s3:ObjectCreated:Put", "inbox/dir%2Fa+b%2Bc"),
    ] {
        let other = json!({ "EventName": name, "Key": key, "Records": [record] });
        check(
            &delivery(Transport::Http, other),
            &["inconsistent-envelope"],
        );
    }
}

#[test]
fn minio_has_words_of_its_own() {
    let names = [
        ("s3:ObjectCreated:PutRetention", "other"),
        ("s3:ObjectCreated:PutLegalHold", "other"),
        ("s3:ObjectCreated:PutTagging", "other"),
        ("s3:ObjectCreated:DeleteTagging", "other"),
        ("s3:ObjectRemoved:NoOP", "other"),
        ("s3:ObjectRemoved:DeleteAllVersions", "removed"),
        ("s3:ObjectAccessed:Get", "other"),
        ("s3:Scanner:BigPrefix", "other"),
    ];
    for (name, expect) in names {
        let event = json!({ "Records": [minio(name, "k")] });
        check(&delivery(Transport::Stream, event), &[expect]);
    }
    // What happens to a bucket names no object.
    let event = json!({ "Records": [minio("s3:BucketCreated:*", "")] });
    check(&delivery(Transport::Stream, event), &["not-a-create"]);
}

#[test]
fn a_stream_is_documents_and_signs_of_life() {
    let event = json!({ "Records": [minio("s3:ObjectCreated:Put", "k")] });
    let stream = format!("{event}\n\n  {{\"Records\":null}}\n{event}\n");
    check(
        &delivery(Transport::Stream, stream),
        &["created", "created"],
    );
    check(&delivery(Transport::Stream, " \n"), &[]);
    check(
        &delivery(Transport::Stream, format!("{event}{{")),
        &["created", "json-syntax"],
    );
    check(
        &delivery(Transport::Http, "{\"Records\":null}"),
        &["missing-field"],
    );
}

#[test]
fn ceph_writes_keys_as_they_are_and_sizes_as_texts_at_times() {
    let ceph = |name: &str, size: Value| {
        let mut record = s3_record(name);
        record["eventSource"] = json!("ceph:s3");
        record["s3"]["object"]["size"] = size;
        record["s3"]["object"]["sequencer"] = json!("4105A86901000000");
        json!({ "Records": [record] })
    };
    let told = one(&delivery(
        Transport::Http,
        ceph("ObjectCreated:Put", json!("12")),
    ));
    assert_eq!((told.key.as_str(), told.size), ("a+b", Some(12)));
    assert_eq!(told.order.unwrap().sequencer, "69a8054100000001");
    check(
        &delivery(
            Transport::Http,
            ceph("ObjectCreated:Put", json!("99999999999999999999")),
        ),
        &["size-out-of-range"],
    );
    check(
        &delivery(Transport::Http, ceph("ObjectCreated:Put", json!("12k"))),
        &["wrong-type"],
    );
    check(
        &delivery(Transport::Http, ceph("ObjectSynced:Create", json!(1))),
        &["created"],
    );
    check(
        &delivery(
            Transport::Http,
            ceph("ObjectLifecycle:Expiration:Current", json!(1)),
        ),
        &["removed"],
    );
    check(
        &delivery(
            Transport::Http,
            ceph("ObjectLifecycle:Transition:Current", json!(1)),
        ),
        &["other"],
    );
}
