//! A bucket of which not all notifications are taken: what a filter leaves out is not missing.

use super::*;
use crate::intake::record;

#[tokio::test]
async fn what_the_filter_leaves_out_is_counted_and_not_missing() {
    let store = Store::start(&["company-raw"]).await;
    let upstream = format!(
        "upstream = {{ bucket = \"company-raw\", endpoint = \"{}\", \
         access_key = \"{ACCESS_KEY}\", secret_key = {{ file = \"store-secret\" }} }}\n\
         filter = {{ prefix = \"in/\", events = [\"s3:ObjectCreated:*\"] }}",
        store.endpoint
    );
    let config = UPPERCASE.replace("path = \"inbox\"", &upstream);
    let ledger = Ledger::new(&format!("{config}{OPERATOR}"));
    ledger.write("store-secret", SECRET_KEY);
    let server = ledger.start().await;
    for key in ["in/a.txt", "in/late.txt", "tmp/b.txt", "tmp/c.txt"] {
        store.put(&format!("company-raw/{key}"), "x").await;
    }
    // What goes through the gateway is recorded whatever the filter says.
    put_all(&server, ["tmp/mine.txt".to_owned()], "x").await;
    let told = |name: &str, key: &str| record(name, "company-raw", key, "01", "e");
    let told = [
        told("ObjectCreated:Put", "tmp/b.txt"),
        told("ObjectRemoved:Delete", "in/z.txt"),
        told("ObjectCreated:Put", "tmp/b.txt"),
    ];
    let (status, answer) = server
        .post("/v1/notifications", json!({ "Records": told }))
        .await;
    assert_eq!(status, 200, "{answer:#}");
    let said = answer["records"].as_array().unwrap().iter();
    let said: Vec<_> = said.map(|it| (&it["verdict"], &it["reason"])).collect();
    let ignored = Value::from("ignored");
    let (prefix, event) = (Value::from("prefix"), Value::from("event-type"));
    let expect = [&prefix, &event, &prefix].map(|reason| (&ignored, reason));
    assert_eq!(said, expect, "{answer:#}");
    let why = answer["records"][0]["detail"].as_str().unwrap();
    assert!(why.contains("does not begin with \"in/\""), "{why}");
    let shown = daybook(&server, &["show", "s3://inbox/tmp/b.txt"]).await;
    assert!(shown.out.contains("does not begin with"), "{}", shown.out);
    let (_, metrics) = server.get("/metrics").await;
    let counted = r#"daybook_intake_ignored_total{source="-",reason="prefix"} 2"#;
    assert!(metrics.contains(counted), "{metrics}");

    let (code, dry) = reconcile(&server, &["inbox", "--dry-run"]).await;
    assert_eq!(code, 3, "{dry:#}");
    let missing = planted(&[("missing", "in/a.txt"), ("missing", "in/late.txt")]);
    assert_eq!(found(&dry), missing);
    for (name, count) in [
        ("versions", 5),
        ("accounted", 1),
        ("missing", 2),
        ("filtered", 2),
    ] {
        assert_eq!(dry["counts"][name], count, "{name}: {dry:#}");
    }
    assert_eq!(dry["filters"][0]["prefix"], "in/");
    reconcile(&server, &["inbox"]).await;
    let (code, again) = reconcile(&server, &["inbox", "--dry-run"]).await;
    assert_eq!(
        (code, &again["counts"]["filtered"]),
        (0, &2.into()),
        "{again:#}"
    );
    // What the ledger holds has to be as it says, below the filter's prefix or not.
    store.put("company-raw/tmp/mine.txt", "otherwise").await;
    let (code, changed) = reconcile(&server, &["inbox/tmp", "--dry-run"]).await;
    assert_eq!(code, 3, "{changed:#}");
    assert_eq!(found(&changed), planted(&[("missing", "tmp/mine.txt")]));
}
