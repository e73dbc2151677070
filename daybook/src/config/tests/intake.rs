//! `[intake]`, and buckets that only notifications tell of.

use daybook_command_service::intake::UnknownBuckets;
use daybook_domain::stored_object::OrderRule;

use super::*;

fn with(text: &str) -> String {
    format!("{SOUND}{text}")
}

#[test]
fn without_a_word_it_is_open_on_loopback_and_records_all() {
    let config = load(SOUND).unwrap().intake;
    assert!(config.config.open_over_http && config.listen.is_none());
    assert_eq!(config.config.unknown, UnknownBuckets::Record);
    let orders = config.config.buckets.iter().map(|bucket| bucket.order);
    assert!(orders.into_iter().all(|order| order == OrderRule::Gateway));
    assert_eq!(config.http.max_body, config.config.open.limits.max_body);
}

#[test]
fn a_bucket_may_be_known_by_notifications_alone() {
    let config = load(&with(
        "[buckets.landing]\nnotified = true\n[pipelines.load]\non = [{ bucket = \"landing\" }]\n\
         run = \"uppercase\"\n",
    ))
    .unwrap();
    assert!(!config.buckets.keys().any(|name| name.as_str() == "landing"));
    let known = &config.intake.config.buckets;
    let landing = known.iter().find(|it| it.name.as_str() == "landing");
    assert_eq!(landing.unwrap().order, OrderRule::Notification);
    let at = "buckets.landing";
    check(
        &with("[buckets.landing]\nnotified = true\npath = \"x\"\n"),
        at,
        "upstream",
    );
    check(
        &with("[buckets.landing]\nnotified = true\nreconcile = { every = \"1h\" }\n"),
        "buckets.landing.reconcile",
        "cannot be listed",
    );
    check(
        &with("[buckets.landing]\nnotified = true\norder = \"gateway\"\n"),
        at,
        "gateway",
    );
    check(
        &with("[buckets.landing]\npath = \"x\"\norder = \"both\"\n"),
        at,
        "neither",
    );
}

#[test]
fn a_bucket_takes_the_notifications_that_its_filter_lets_through() {
    let landing = |filter: &str| {
        with(&format!(
            "[buckets.landing]\nnotified = true\nfilter = {filter}\n"
        ))
    };
    let filters = |filter: &str| {
        let config = load(&landing(filter)).unwrap();
        let mut known = config.intake.config.buckets.clone().into_iter();
        let landing = known.find(|it| it.name.as_str() == "landing");
        (landing.unwrap().filters, show(&config))
    };
    let (one, shown) =
        filters("{ prefix = \"in/\", suffix = \".csv\", events = [\"s3:ObjectCreated:*\"] }");
    assert_eq!(
        (one.len(), &*one[0].events),
        (1, &["ObjectCreated:*".to_owned()][..])
    );
    assert_eq!(shown["intake"]["filter"]["landing"][0]["prefix"], "in/");
    let (two, _) = filters("[{ prefix = \"in/\" }, { suffix = \".csv\" }]");
    assert_eq!(two.len(), 2);
    let at = "buckets.landing.filter";
    check(&landing("{}"), at, "says nothing");
    check(&landing("[]"), at, "no filter in it");
    check(&landing("{ events = [\"*x\"] }"), at, "is no event");
    let folder = with("[buckets.landing]\npath = \"x\"\nfilter = { prefix = \"in/\" }\n");
    check(&folder, at, "files of a folder");
    load(&landing("{ perfix = \"in/\" }")).unwrap_err();
}

#[test]
fn outside_loopback_it_has_to_be_said_who_may_deliver() {
    let outside = "[intake]\nlisten = \"0.0.0.0:0\"\n";
    // Nothing is served where nothing is said.
    assert!(!load(&with(outside)).unwrap().intake.config.open_over_http);
    let said = |table: &str| with(&format!("{outside}{table}"));
    let at = "intake.sources.minio.authentication";
    check(&said("[intake.sources.minio]\n"), at, "\"none\"");
    check(
        &said("[intake.open]\n"),
        "intake.open.authentication",
        "\"none\"",
    );
    for word in [
        "\"none\"",
        "{ bearer = \"x\" }",
        "{ user = \"u\", password = { file = \"secret\" } }",
        "[{ header = \"X-Token\", value = \"x\" }, { query = \"token\", value = \"x\" }]",
    ] {
        let text = said(&format!(
            "[intake.sources.minio]\nauthentication = {word}\n"
        ));
        let config = load(&text).unwrap().intake.config;
        assert_eq!(config.sources.len(), 1, "{word}");
    }
}

#[test]
fn mistakes_are_named() {
    let source = |line: &str| with(&format!("[intake.sources.minio]\n{line}\n"));
    let at = "intake.sources.minio";
    check(&source("authentication = \"signed\""), at, "signature");
    check(&source("authentication = \"some\""), at, "neither");
    check(&source("authentication = []"), at, "empty");
    check(
        &source("authentication = { bearer = \"x\", value = \"y\" }"),
        at,
        "give {",
    );
    check(
        &source("authentication = { bearer = { env = \"NOT_SET\" } }"),
        at,
        "NOT_SET",
    );
    check(&source("stores = [\"s3\"]"), at, "aws:s3");
    check(&source("sns_max_age = \"long\""), at, "duration");
    check(
        &with("[intake.sources.rejected]\n"),
        "intake.sources.rejected",
        "taken",
    );
    check(
        &with("[intake.sources.\"a b\"]\n"),
        "intake.sources",
        "name",
    );
    check(
        &with("[intake.open]\nbuckets = { a = \"inbox\" }\n"),
        "intake.open.buckets",
        "source",
    );
    check(
        &with("[intake]\nmax_depth = 121\n"),
        "intake.max_depth",
        "120",
    );
    check(
        &with("[intake]\nin_flight_records = 0\n"),
        "intake.in_flight_records",
        "0",
    );
    check(
        &with("[intake]\nunknown_buckets = \"drop\"\n"),
        "intake.unknown_buckets",
        "neither",
    );
    check(
        &with("[intake]\nbody_timeout = \"0s\"\n"),
        "intake.body_timeout",
        "longer",
    );
}

#[test]
fn what_is_shown_has_no_secret() {
    let text = with(
        "[intake.sources.minio]\nauthentication = { bearer = \"hunter2\" }\n\
         b2_secrets = [\"hunter2\"]\nbuckets = { \"there\" = \"inbox\" }\n",
    );
    let shown = crate::config::show(&load(&text).unwrap()).to_string();
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains(r#""there":"inbox""#), "{shown}");
}
