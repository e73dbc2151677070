//! Buckets with versioning: versions, delete markers, and what becomes of them.

use std::collections::BTreeMap;
use std::time::Duration;

use daybook_domain::stored_object::ObjectCommand;
use daybook_s3_gateway::Limits;
use proptest::prelude::*;

use super::client::{Client, Reply};
use super::restored::story;
use super::sharing::Shared;
use super::world::World;

const ID: &str = "x-amz-version-id";
const MARKER: &str = "x-amz-delete-marker";

async fn versioned() -> World {
    let world = World::new().await;
    set(&world.client, "Enabled").await.expect(200);
    world
}

async fn set(client: &Client, status: &str) -> Reply {
    let body =
        format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>");
    client
        .send(
            "PUT",
            "inbox",
            "",
            &[("versioning", "")],
            &[],
            body.as_bytes(),
        )
        .await
}

async fn put(client: &Client, key: &str, body: &str) -> String {
    let reply = client.put("inbox", key, body).await.expect(200);
    reply.header(ID).unwrap().to_owned()
}

async fn delete_version(client: &Client, key: &str, id: &str) -> Reply {
    client
        .send("DELETE", "inbox", key, &[("versionId", id)], &[], b"")
        .await
        .expect(204)
}

async fn head(client: &Client, key: &str, query: &[(&str, &str)]) -> Reply {
    client.send("HEAD", "inbox", key, query, &[], b"").await
}

/// What a listing of versions shows, in its order: `key id`, with `!` before a marker and `*`
/// behind the newest.
fn shown(page: &Reply) -> Vec<String> {
    let line = |marker: &'static str| {
        move |entry: String| {
            let field = |name: &str| {
                let (_, rest) = entry.split_once(&format!("<{name}>")).unwrap();
                rest.split_once("</").unwrap().0.to_owned()
            };
            let latest = if field("IsLatest") == "true" { "*" } else { "" };
            format!("{marker}{} {}{latest}", field("Key"), field("VersionId"))
        }
    };
    let versions = page.elements("Version").into_iter().map(line(""));
    let markers = page.elements("DeleteMarker").into_iter().map(line("!"));
    let rolled = page.elements("CommonPrefixes").into_iter();
    let rolled = rolled.map(|p| p.replace("<Prefix>", "").replace("</Prefix>", ""));
    versions.chain(markers).chain(rolled).collect()
}

/// All pages of a listing of versions, sorted, since markers come apart.
async fn listed(client: &Client, size: &str, more: &[(&str, &str)]) -> Vec<String> {
    let mut all = Vec::new();
    let mut next: Option<(String, Option<String>)> = None;
    for _ in 0..100 {
        let mut query = vec![("versions", ""), ("max-keys", size)];
        query.extend_from_slice(more);
        if let Some((key, id)) = &next {
            query.push(("key-marker", key));
            if let Some(id) = id {
                query.push(("version-id-marker", id));
            }
        }
        let page = client.list("inbox", &query).await.expect(200);
        let lines = shown(&page);
        assert!(lines.len() <= size.parse().unwrap());
        all.extend(lines);
        if page.element("IsTruncated").as_deref() != Some("true") {
            all.sort();
            return all;
        }
        let key = page.element("NextKeyMarker").unwrap();
        next = Some((key, page.element("NextVersionIdMarker")));
    }
    panic!("the pages never end");
}

fn sorted<const N: usize>(lines: [String; N]) -> Vec<String> {
    let mut lines = lines.to_vec();
    lines.sort();
    lines
}

#[tokio::test]
async fn versioning_is_switched_on_and_suspended() {
    let world = World::new().await;
    let status = async |client: &Client| {
        let got = client
            .list("inbox", &[("versioning", "")])
            .await
            .expect(200);
        got.element("Status")
    };
    assert_eq!(status(&world.client).await, None);
    set(&world.client, "Enabled").await.expect(200);
    assert_eq!(status(&world.client).await.as_deref(), Some("Enabled"));
    set(&world.client, "Suspended").await.expect(200);
    set(&world.client, "Off").await.refused(400, "MalformedXML");
    let world = world.reopen().await;
    assert_eq!(status(&world.client).await.as_deref(), Some("Suspended"));
}

#[tokio::test]
async fn overwritten_versions_stay_until_they_are_deleted_by_id() {
    let limits = Limits::default();
    let world = World::with(limits, Duration::ZERO).await;
    let client = &world.client;
    set(client, "Enabled").await.expect(200);
    let one = put(client, "k", "one").await;
    let two = put(client, "k", "two!").await;
    let expect = [format!("k {two}*"), format!("k {one}")];
    let page = client.list("inbox", &[("versions", "")]).await.expect(200);
    assert_eq!(shown(&page), expect);
    assert_eq!(page.elements("Size"), ["4", "3"]);
    assert_eq!(client.get_version("inbox", "k", &one).await.text(), "one");
    assert_eq!(client.get_version("inbox", "k", &two).await.text(), "two!");

    // Nothing is swept, although nothing is to be retained.
    let world = world.reopen().await;
    let client = &world.client;
    assert_eq!(listed(client, "1000", &[]).await, sorted(expect));
    let gone = delete_version(client, "k", &one).await;
    assert_eq!(
        (gone.header(ID), gone.header(MARKER)),
        (Some(one.as_str()), None)
    );
    client
        .get_version("inbox", "k", &one)
        .await
        .refused(404, "NoSuchVersion");
    assert_eq!(listed(client, "1000", &[]).await, [format!("k {two}*")]);
    delete_version(client, "k", &one).await;
    assert_eq!(story(&world), "++");
}

#[tokio::test]
async fn a_delete_marker_hides_a_key_until_it_is_deleted() {
    let world = versioned().await;
    let client = &world.client;
    let one = put(client, "k", "one").await;
    let deleted = client.delete("inbox", "k").await.expect(204);
    assert_eq!(deleted.header(MARKER), Some("true"));
    let marker = deleted.header(ID).unwrap().to_owned();
    assert!(!world.path("inbox", "k").exists());

    let gone = client.get("inbox", "k").await.refused(404, "NoSuchKey");
    assert_eq!(
        (gone.header(MARKER), gone.header(ID)),
        (Some("true"), Some(marker.as_str()))
    );
    let gone = head(client, "k", &[]).await.expect(404);
    assert_eq!(gone.header(MARKER), Some("true"));
    let named = client.get_version("inbox", "k", &marker).await;
    let named = named.refused(405, "MethodNotAllowed");
    assert_eq!(
        (named.header(MARKER), named.header("allow")),
        (Some("true"), Some("DELETE"))
    );
    assert!(named.header("last-modified").is_some());
    let named = head(client, "k", &[("versionId", &marker)])
        .await
        .expect(405);
    assert_eq!(named.header(MARKER), Some("true"));
    assert_eq!(client.get_version("inbox", "k", &one).await.text(), "one");
    let versions = sorted([format!("!k {marker}*"), format!("k {one}")]);
    assert_eq!(listed(client, "1000", &[]).await, versions);
    assert!(client.list("inbox", &[]).await.elements("Key").is_empty());

    let undone = delete_version(client, "k", &marker).await;
    assert_eq!(
        (undone.header(MARKER), undone.header(ID)),
        (Some("true"), Some(marker.as_str()))
    );
    let got = client.get("inbox", "k").await.expect(200);
    assert_eq!(
        (got.text().as_str(), got.header(ID)),
        ("one", Some(one.as_str()))
    );
    assert_eq!(
        std::fs::read_to_string(world.path("inbox", "k")).unwrap(),
        "one"
    );
    assert_eq!(listed(client, "1000", &[]).await, [format!("k {one}*")]);
    assert_eq!(client.list("inbox", &[]).await.elements("Key"), ["k"]);
    // It is there again, and nothing starts anew for it.
    assert_eq!(story(&world), "+-=");
    let report = world.gateway.rescan().await.unwrap();
    assert_eq!((report.recorded, report.removals), (0, 0));
    let [
        _,
        ObjectCommand::RecordRemoved(removed),
        ObjectCommand::RecordReappeared(back),
    ] = &world.ledger.commands()[..]
    else {
        panic!("{:?}", world.ledger.commands())
    };
    assert_eq!(removed.event_name, "ObjectRemoved:DeleteMarkerCreated");
    assert_eq!(removed.version.version_id.as_ref(), Some(&marker));
    assert_eq!(back.version.version_id.as_ref(), Some(&one));
}

#[tokio::test]
async fn what_was_newest_before_is_the_object_again() {
    let world = versioned().await;
    let client = &world.client;
    for key in ["k", "../hidden"] {
        let one = put(client, key, "one").await;
        let two = put(client, key, "two").await;
        let three = put(client, key, "three").await;
        delete_version(client, key, &two).await;
        delete_version(client, key, &three).await;
        let got = client.get("inbox", key).await.expect(200);
        assert_eq!(
            (got.text().as_str(), got.header(ID)),
            ("one", Some(one.as_str()))
        );
        let prefix = [("prefix", key)];
        assert_eq!(
            listed(client, "1000", &prefix).await,
            [format!("{key} {one}*")]
        );
        // A write to it makes it a version once more.
        let four = put(client, key, "four").await;
        assert_eq!(client.get_version("inbox", key, &one).await.text(), "one");
        delete_version(client, key, &four).await;
        delete_version(client, key, &one).await;
        client.get("inbox", key).await.refused(404, "NoSuchKey");
        assert!(listed(client, "1000", &prefix).await.is_empty());
    }
    assert_eq!(story(&world), "+++-=+-=-".to_owned() + "+++-=+-=-");
    let report = world.gateway.rescan().await.unwrap();
    assert_eq!((report.recorded, report.removals), (0, 0));
    let world = world.reopen().await;
    assert!(world.own_files("inbox", "versions").is_empty());
}

#[tokio::test]
async fn the_null_version_is_what_was_written_without_versioning() {
    let world = World::new().await;
    let client = &world.client;
    let before = put(client, "k", "before").await;
    assert_ne!(before, "null");
    set(client, "Enabled").await.expect(200);
    let one = put(client, "k", "one").await;
    let versions = sorted([format!("k {one}*"), "k null".to_owned()]);
    assert_eq!(listed(client, "1000", &[]).await, versions);
    for name in ["null", &before] {
        let got = client.get_version("inbox", "k", name).await.expect(200);
        assert_eq!(
            (got.text().as_str(), got.header(ID)),
            ("before", Some("null"))
        );
    }

    set(client, "Suspended").await.expect(200);
    assert_eq!(put(client, "k", "second").await, "null");
    let versions = sorted([format!("k {one}"), "k null*".to_owned()]);
    assert_eq!(listed(client, "1000", &[]).await, versions);
    let got = client.get_version("inbox", "k", "null").await.expect(200);
    assert_eq!(got.text(), "second");
    // Replaced for S3; who was promised it by its own id has it for a while.
    let got = client.get_version("inbox", "k", &before).await.expect(200);
    assert_eq!(got.text(), "before");

    let deleted = client.delete("inbox", "k").await.expect(204);
    assert_eq!(
        (deleted.header(ID), deleted.header(MARKER)),
        (Some("null"), Some("true"))
    );
    let versions = sorted([format!("k {one}"), "!k null*".to_owned()]);
    assert_eq!(listed(client, "1000", &[]).await, versions);
    client
        .get_version("inbox", "k", "null")
        .await
        .refused(405, "MethodNotAllowed");
    client.delete("inbox", "k").await.expect(204);
    assert_eq!(listed(client, "1000", &[]).await, versions);
    delete_version(client, "k", "null").await;
    assert_eq!(client.get("inbox", "k").await.expect(200).text(), "one");
    assert_eq!(listed(client, "1000", &[]).await, [format!("k {one}*")]);
    // A version with an id stays when the null version comes over it.
    put(client, "k", "third").await;
    delete_version(client, "k", "null").await;
    assert_eq!(client.get("inbox", "k").await.expect(200).text(), "one");
    assert_eq!(story(&world), "+++-=+-=");
}

#[tokio::test]
async fn without_versioning_there_is_one_version_and_no_marker() {
    let world = World::new().await;
    let client = &world.client;
    let one = put(client, "k", "one").await;
    put(client, "k", "two").await;
    assert_eq!(listed(client, "1000", &[]).await, ["k null*"]);
    assert_eq!(client.get_version("inbox", "k", "null").await.text(), "two");
    assert_eq!(client.get_version("inbox", "k", &one).await.text(), "one");
    delete_version(client, "k", &one).await;
    client
        .get_version("inbox", "k", &one)
        .await
        .refused(404, "NoSuchVersion");
    let deleted = delete_version(client, "k", "null").await;
    assert_eq!(deleted.header(MARKER), None);
    let gone = client.get("inbox", "k").await.refused(404, "NoSuchKey");
    assert_eq!(gone.header(MARKER), None);
    let deleted = client.delete("inbox", "k").await.expect(204);
    assert_eq!((deleted.header(ID), deleted.header(MARKER)), (None, None));
    assert!(listed(client, "1000", &[]).await.is_empty());
    assert_eq!(story(&world), "++-");
}

#[tokio::test]
async fn pages_of_versions_add_up() {
    let world = versioned().await;
    let client = &world.client;
    for key in ["a", "b/1", "b/2", "é f"] {
        for body in ["one", "two", "three"] {
            put(client, key, body).await;
        }
    }
    client.delete("inbox", "b/1").await.expect(204);
    client.delete("inbox", "absent").await.expect(204);
    let all = listed(client, "1000", &[]).await;
    assert_eq!(all.len(), 14);
    for more in [
        vec![],
        vec![("prefix", "b/")],
        vec![("delimiter", "/")],
        vec![("prefix", "b"), ("delimiter", "1")],
    ] {
        let whole = listed(client, "1000", &more).await;
        for size in ["1", "2", "3", "5"] {
            assert_eq!(
                listed(client, size, &more).await,
                whole,
                "{more:?} by {size}"
            );
        }
    }
    let rolled = listed(client, "1000", &[("delimiter", "/")]).await;
    assert!(
        rolled.contains(&"b/".to_owned()) && rolled.len() == 8,
        "{rolled:?}"
    );
    // A marker without a key, and one that is gone: what is left of its key comes after it.
    let wrong = [("versions", ""), ("version-id-marker", "x")];
    client
        .list("inbox", &wrong)
        .await
        .refused(400, "InvalidArgument");
    let gone = [
        ("versions", ""),
        ("key-marker", "a"),
        ("version-id-marker", "gone"),
    ];
    assert_eq!(
        shown(&client.list("inbox", &gone).await.expect(200)).len(),
        14
    );
    let encoded = [("versions", ""), ("prefix", "é"), ("encoding-type", "url")];
    let page = client.list("inbox", &encoded).await.expect(200);
    assert_eq!(page.elements("Key")[0], "%C3%A9%20f");
    let world = world.reopen().await;
    assert_eq!(listed(&world.client, "1000", &[]).await, all);
}

#[tokio::test]
async fn many_versions_are_deleted_at_once() {
    let world = versioned().await;
    let client = &world.client;
    let one = put(client, "a", "one").await;
    put(client, "b", "one").await;
    let marker = client.delete("inbox", "a").await.expect(204);
    let marker = marker.header(ID).unwrap();
    let body = format!(
        "<Delete><Object><Key>a</Key><VersionId>{marker}</VersionId></Object>\
         <Object><Key>a</Key><VersionId>{one}</VersionId></Object><Object><Key>b</Key></Object></Delete>"
    );
    let md5 = <md5::Md5 as md5::Digest>::digest(&body);
    let md5 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, md5);
    let headers = [("content-md5", md5.as_str())];
    let sent = client.send(
        "POST",
        "inbox",
        "",
        &[("delete", "")],
        &headers,
        body.as_bytes(),
    );
    let reply = sent.await.expect(200);
    assert_eq!(reply.elements("DeleteMarker"), ["true", "true"]);
    let ids = reply.elements("DeleteMarkerVersionId");
    assert_eq!(ids[0], marker);
    assert_eq!(reply.elements("VersionId"), [marker, one.as_str()]);
    assert_eq!(listed(client, "1000", &[]).await.len(), 2);
    client.get("inbox", "b").await.refused(404, "NoSuchKey");
}

#[tokio::test]
async fn copies_of_a_version_and_conditions() {
    let world = versioned().await;
    let client = &world.client;
    let one = put(client, "k", "one").await;
    put(client, "k", "two").await;
    let source = format!("/inbox/k?versionId={one}");
    let headers = [("x-amz-copy-source", source.as_str())];
    let copied = client
        .put_with("inbox", "k", &headers, "")
        .await
        .expect(200);
    assert_eq!(
        copied.header("x-amz-copy-source-version-id"),
        Some(one.as_str())
    );
    assert_eq!(client.get("inbox", "k").await.text(), "one");
    assert_eq!(listed(client, "1000", &[]).await.len(), 3);
    // What has to match is the version that is to go.
    let other = [("if-match", "\"0123456789abcdef0123456789abcdef\"")];
    let query = [("versionId", one.as_str())];
    let refused = client.send("DELETE", "inbox", "k", &query, &other, b"");
    refused.await.refused(412, "PreconditionFailed");
    let etag = client.get_version("inbox", "k", &one).await;
    let right = [("if-match", etag.header("etag").unwrap())];
    client.put("inbox", "k", "three").await.expect(200);
    let gone = client.send("DELETE", "inbox", "k", &query, &right, b"");
    gone.await.expect(204);
    let again = client.send("DELETE", "inbox", "k", &query, &right, b"");
    again.await.refused(404, "NoSuchKey");
    // A key that is hidden by a marker is not there.
    client.delete("inbox", "k").await.expect(204);
    let headers = [("if-none-match", "*")];
    client
        .put_with("inbox", "k", &headers, "new")
        .await
        .expect(200);
    client
        .put_with("inbox", "k", &headers, "new")
        .await
        .expect(412);
}

#[tokio::test]
async fn what_the_ledger_did_not_hear_is_made_good() {
    let world = versioned().await;
    for key in ["marked", "by-id", "undone"] {
        put(&world.client, key, "one").await;
    }
    let two = put(&world.client, "by-id", "two").await;
    let marker = world.client.delete("inbox", "undone").await.expect(204);
    let marker = marker.header(ID).unwrap().to_owned();
    let before = world.ledger.commands().len();
    world.ledger.fail(true);
    world.client.delete("inbox", "marked").await.expect(503);
    for (key, id) in [("by-id", &two), ("undone", &marker)] {
        let query = [("versionId", id.as_str())];
        let sent = world.client.send("DELETE", "inbox", key, &query, &[], b"");
        sent.await.expect(503);
    }
    world.ledger.fail(false);
    let versions = listed(&world.client, "1000", &[]).await;
    let world = world.reopen().await;
    let report = world.gateway.rescan().await.unwrap();
    assert_eq!((report.removals, report.recorded), (2, 2), "{report:?}");
    let report = world.gateway.rescan().await.unwrap();
    assert_eq!((report.removals, report.recorded), (0, 0), "{report:?}");
    assert_eq!(listed(&world.client, "1000", &[]).await, versions);
    let of = |key: &str| {
        let told = world.ledger.commands().split_off(before);
        let told = told.into_iter().filter_map(|command| match command {
            ObjectCommand::RecordRemoved(it) => (it.key.as_str() == key).then_some("-"),
            ObjectCommand::RecordReappeared(it) => (it.key.as_str() == key).then_some("="),
            _ => None,
        });
        told.collect::<String>()
    };
    assert_eq!(
        (of("marked"), of("by-id"), of("undone")),
        ("-".into(), "-=".into(), "=".into())
    );
    assert!(world.own_files("inbox", "versions").len() <= 3);
}

#[tokio::test]
async fn a_crash_in_the_middle_leaves_what_was_before() {
    let world = versioned().await;
    let one = put(&world.client, "k", "one").await;
    let marker = world.client.delete("inbox", "k").await.expect(204);
    let marker = marker.header(ID).unwrap().to_owned();
    delete_version(&world.client, "k", &marker).await;
    let versions = || world.path("inbox", ".daybook/versions").join(digest("k"));
    // The marker was made and the object not yet taken away. So it is when a marker was to be
    // deleted, too: the object is there, the marker still as well.
    put(&world.client, "other", "x").await;
    world.client.delete("inbox", "other").await.expect(204);
    let stamp = |path: &std::path::Path| xattr::get(path, "user.daybook").unwrap().unwrap();
    let other = world
        .path("inbox", ".daybook/versions")
        .join(digest("other"));
    let made = std::fs::read_dir(&other)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let made = made
        .into_iter()
        .find(|path| path.metadata().unwrap().len() == 0)
        .unwrap();
    let text = String::from_utf8(stamp(&made)).unwrap();
    std::fs::create_dir_all(versions()).unwrap();
    let void = versions().join(made.file_name().unwrap());
    std::fs::rename(&made, &void).unwrap();
    xattr::set(
        &void,
        "user.daybook",
        text.replace("\"other\"", "\"k\"").as_bytes(),
    )
    .unwrap();
    // The object was linked among the doomed ones, and not taken away.
    let doomed = versions().join(format!("{one}.gone"));
    std::fs::hard_link(world.path("inbox", "k"), &doomed).unwrap();
    let world = world.reopen().await;
    assert!(!void.exists() && !doomed.exists());
    let got = world.client.get("inbox", "k").await.expect(200);
    assert_eq!(got.header(ID), Some(one.as_str()));
    let prefix = [("prefix", "k")];
    assert_eq!(
        listed(&world.client, "1000", &prefix).await,
        [format!("k {one}*")]
    );
    let report = world.gateway.rescan().await.unwrap();
    assert_eq!((report.removals, report.recorded), (0, 0), "{report:?}");

    // Two null versions: the newer one had replaced the other.
    let client = &world.client;
    set(client, "Suspended").await.expect(200);
    put(client, "n", "one").await;
    set(client, "Enabled").await.expect(200);
    let id = put(client, "n", "two").await;
    let kept = world.path("inbox", ".daybook/versions").join(digest("n"));
    let null = std::fs::read_dir(&kept)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let (saved, bytes) = (null.clone(), world.folder.path().join("null"));
    std::fs::hard_link(&null, &bytes).unwrap();
    set(client, "Suspended").await.expect(200);
    put(client, "n", "three").await;
    assert!(!saved.exists());
    std::fs::rename(&bytes, &saved).unwrap();
    let world = world.reopen().await;
    let versions = sorted(["n null*".to_owned(), format!("n {id}")]);
    assert_eq!(
        listed(&world.client, "1000", &[("prefix", "n")]).await,
        versions
    );
    assert_eq!(
        world.client.get_version("inbox", "n", "null").await.text(),
        "three"
    );
}

fn digest(key: &str) -> String {
    hex::encode(<sha2::Sha256 as sha2::Digest>::digest(key))
}

#[tokio::test]
async fn a_file_removed_by_hand_is_hidden_by_a_marker() {
    let world = versioned().await;
    let client = &world.client;
    let one = put(client, "k", "one").await;
    put(client, "k", "two").await;
    put(client, "only", "one").await;
    for key in ["k", "only"] {
        std::fs::remove_file(world.path("inbox", key)).unwrap();
    }
    assert_eq!(world.gateway.rescan().await.unwrap().removals, 2);
    let gone = client.get("inbox", "k").await.refused(404, "NoSuchKey");
    let marker = gone.header(ID).unwrap().to_owned();
    let versions = sorted([format!("!k {marker}*"), format!("k {one}")]);
    assert_eq!(listed(client, "1000", &[]).await, versions);
    assert_eq!(world.gateway.rescan().await.unwrap().removals, 0);
    delete_version(client, "k", &marker).await;
    assert_eq!(client.get("inbox", "k").await.expect(200).text(), "one");
    // Put in by hand: a version like others, over the one that is there.
    std::fs::write(world.path("inbox", "k"), "three").unwrap();
    let got = client.get("inbox", "k").await.expect(200);
    let three = got.header(ID).unwrap().to_owned();
    assert_eq!(listed(client, "1000", &[]).await, [format!("k {three}*")]);
}

#[tokio::test]
async fn gateways_that_share_a_folder_agree_on_versioning() {
    let shared = Shared::new(2).await;
    let [a, b] = [&shared.peers[0].client, &shared.peers[1].client];
    put(a, "k", "zero").await;
    set(a, "Enabled").await.expect(200);
    let one = put(b, "k", "one").await;
    assert_ne!(one, "null");
    set(b, "Suspended").await.expect(200);
    assert_eq!(put(a, "k", "two").await, "null");
    let expect = sorted(["k null*".to_owned(), format!("k {one}")]);
    for client in [a, b] {
        assert_eq!(listed(client, "1000", &[]).await, expect);
    }
    delete_version(b, "k", "null").await;
    assert_eq!(a.get("inbox", "k").await.expect(200).text(), "one");
}

#[derive(Clone, Debug)]
enum Step {
    Put(&'static str),
    Delete(&'static str),
    /// The version of the key at this place, counted from the newest.
    DeleteVersion(&'static str, usize),
    Set(&'static str),
    Reopen,
    LoseIndex,
}

fn step() -> impl Strategy<Value = Step> {
    let key = || prop::sample::select(&["a", "a/b", "../x"][..]);
    prop_oneof![
        5 => key().prop_map(Step::Put),
        3 => key().prop_map(Step::Delete),
        4 => (key(), 0..4usize).prop_map(|(key, at)| Step::DeleteVersion(key, at)),
        2 => prop::sample::select(&["Enabled", "Suspended"][..]).prop_map(Step::Set),
        1 => Just(Step::Reopen),
        1 => Just(Step::LoseIndex),
    ]
}

/// What S3 would have of a key, the newest first: ids, bodies, `None` for a marker.
type Versions = Vec<(String, Option<String>)>;

fn add(versions: &mut Versions, id: &str, body: Option<String>) {
    if id == "null" {
        versions.retain(|(id, _)| id != "null");
    }
    versions.insert(0, (id.to_owned(), body));
}

async fn run(steps: Vec<Step>) {
    let mut world = World::new().await;
    let mut model: BTreeMap<&str, Versions> = BTreeMap::new();
    let mut versioned = false;
    for (number, step) in steps.iter().enumerate() {
        let client = &world.client;
        match step {
            Step::Put(key) => {
                let body = number.to_string();
                let id = put(client, key, &body).await;
                let id = if versioned { id } else { "null".to_owned() };
                add(model.entry(key).or_default(), &id, Some(body));
            }
            Step::Delete(key) => {
                let reply = client.delete("inbox", key).await.expect(204);
                let versions = model.entry(key).or_default();
                match reply.header(ID) {
                    Some(id) => add(versions, id, None),
                    None => versions.clear(),
                }
                assert_eq!(reply.header(MARKER).is_some(), versioned);
            }
            Step::DeleteVersion(key, at) => {
                let versions = model.entry(key).or_default();
                if *at < versions.len() {
                    let (id, body) = versions.remove(*at);
                    let reply = delete_version(client, key, &id).await;
                    assert_eq!(reply.header(MARKER).is_some(), body.is_none(), "{steps:?}");
                }
            }
            Step::Set(status) => {
                set(client, status).await.expect(200);
                versioned = true;
            }
            Step::Reopen => world = world.reopen().await,
            Step::LoseIndex => {
                for suffix in ["", "-wal", "-shm"] {
                    let name = format!(".daybook/index.sqlite{suffix}");
                    let _ = std::fs::remove_file(world.path("inbox", &name));
                }
            }
        }
    }
    let client = &world.client;
    let mut expect = Vec::new();
    for (key, versions) in &model {
        for (at, (id, body)) in versions.iter().enumerate() {
            let (marker, latest) = (
                body.as_ref().map_or("!", |_| ""),
                if at == 0 { "*" } else { "" },
            );
            expect.push(format!("{marker}{key} {id}{latest}"));
            let got = client.get_version("inbox", key, id).await;
            match body {
                Some(body) => assert_eq!(&got.expect(200).text(), body, "{steps:?}"),
                None => assert_eq!(got.status, 405, "{key} {id} after {steps:?}"),
            }
        }
        let newest = versions.first().and_then(|(_, body)| body.clone());
        let got = client.get("inbox", key).await;
        assert_eq!(
            (got.status == 200).then(|| got.text()),
            newest,
            "{key} after {steps:?}"
        );
    }
    expect.sort();
    assert_eq!(listed(client, "2", &[]).await, expect, "{steps:?}");
    let report = world.gateway.rescan().await.unwrap();
    assert_eq!(
        (report.recorded, report.removals, report.failed.len()),
        (0, 0, 0),
        "{steps:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(16) })]

    #[test]
    fn versions_are_what_s3_would_have(steps in prop::collection::vec(step(), 1..30)) {
        tokio::runtime::Runtime::new().unwrap().block_on(run(steps));
    }
}
