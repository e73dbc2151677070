//! Reports as S3 writes them.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

const SCHEMA: &str =
    "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag";

const FIRST: &str = r#""b","z","v1","true","false","3","2026-01-02T03:04:05.000Z","aa"
"b","dir/%C3%A9+%2B.txt","v2","false","false","3","2026-01-02T03:04:05.000Z","bb"
"#;
const SECOND: &str = r#""b","dir/%C3%A9+%2B.txt","v4","true","true","","2026-01-04T03:04:05.000Z",""
"b","a","null","true","false","17","2026-01-02T03:04:05.000Z","cc-2"
"b","dir/%C3%A9+%2B.txt","v3","false","false","4","2026-01-03T03:04:05.000Z","dd"
"#;

fn packed(text: &str) -> File {
    let mut encoder = GzEncoder::new(tempfile::tempfile().unwrap(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    let mut file = encoder.finish().unwrap();
    file.rewind().unwrap();
    file
}

fn plain(text: &str) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.rewind().unwrap();
    file
}

async fn keys(
    reports: Vec<File>,
    prefix: &'static str,
    after: Option<&'static str>,
) -> Vec<String> {
    let (sender, mut pages) = mpsc::channel(PAGES_AHEAD);
    let columns = Columns::of(SCHEMA).unwrap();
    tokio::task::spawn_blocking(move || {
        let sorted = sort(reports, &columns, prefix, after, || true).unwrap();
        give_out(sorted, &sender).unwrap();
    });
    let mut told = Vec::new();
    while let Some(page) = pages.recv().await {
        for key in page.unwrap() {
            let versions = key.versions.iter().map(|listed| {
                let latest = if listed.latest { "*" } else { "" };
                let id = listed.version.version_id.as_deref().unwrap_or("-");
                format!("{id}{latest} {}", listed.version.etag.as_deref().unwrap())
            });
            let versions: Vec<_> = versions.collect();
            told.push(format!("{}: {}", key.key, versions.join(", ")));
        }
    }
    told
}

#[tokio::test]
async fn reports_are_merged_in_the_order_of_decoded_keys() {
    let told = keys(vec![packed(FIRST), plain(SECOND)], "", None).await;
    assert_eq!(
        told,
        ["a: -* cc-2", "dir/é +.txt: v3 dd, v2 bb", "z: v1* aa"]
    );
    let told = keys(vec![packed(FIRST), packed(SECOND)], "", Some("a")).await;
    assert_eq!(told, ["dir/é +.txt: v3 dd, v2 bb", "z: v1* aa"]);
    let told = keys(vec![packed(FIRST), packed(SECOND)], "dir/", None).await;
    assert_eq!(told, ["dir/é +.txt: v3 dd, v2 bb"]);
}

#[tokio::test]
async fn a_key_goes_before_those_that_begin_with_it() {
    let lines: String = ["a/b", "a", "aa", "a+b"]
        .iter()
        .map(|key| format!("\"b\",\"{key}\",\"null\",\"true\",\"false\",\"1\",\"\",\"x\"\n"))
        .collect();
    let told = keys(vec![plain(&lines)], "a", None).await;
    let wanted = ["a", "a b", "a/b", "aa"].map(|key| format!("{key}: -* x"));
    assert_eq!(told, wanted);
}

#[test]
fn lines_are_read_as_csv() {
    for (line, wanted) in [
        (r#""a","b""#, Some(vec!["a", "b"])),
        (r#"a,b,"#, Some(vec!["a", "b", ""])),
        (
            r#""a ""quoted"", one",b"#,
            Some(vec![r#"a "quoted", one"#, "b"]),
        ),
        (r#""open"#, None),
        (r#""a"b,c"#, None),
    ] {
        let wanted: Option<Vec<String>> =
            wanted.map(|fields| fields.into_iter().map(str::to_owned).collect());
        assert_eq!(fields(line), wanted, "{line}");
    }
}

#[test]
fn a_report_without_keys_is_refused() {
    assert!(matches!(
        Columns::of("Bucket, Size"),
        Err(Problem::Hopeless(_))
    ));
}

#[test]
fn a_file_of_a_report_is_found_near_its_manifest_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("inbox/all/2026");
    std::fs::create_dir_all(&report).unwrap();
    std::fs::create_dir_all(folder.path().join("inbox/all/data")).unwrap();
    std::fs::write(folder.path().join("inbox/all/data/x.csv.gz"), "").unwrap();
    std::fs::write(report.join("y.csv.gz"), "").unwrap();
    assert!(beside(&report, "inbox/all/data/x.csv.gz").is_ok());
    assert!(beside(&report, "inbox/all/data/y.csv.gz").is_ok());
    assert!(beside(&report, "inbox/all/data/z.csv.gz").is_err());
    assert!(beside(&report, "../2026/y.csv.gz").is_err());
    assert!(beside(&report, "/etc/passwd").is_err());
}
