//! Texts in; places, or what is wrong, out. No password comes out of any of them.

use super::*;

#[track_caller]
fn check(text: &str, shown: &str) {
    let url = LogUrl::parse(text, Some(Path::new("/data"))).unwrap();
    assert_eq!(url.to_string(), shown);
    assert_eq!(format!("{url:?}"), format!("LogUrl({shown})"));
}

#[test]
fn each_engine_has_its_urls() {
    check("sqlite", "sqlite:/data/log.sqlite");
    check("sqlite:/var/lib/log.sqlite", "sqlite:/var/lib/log.sqlite");
    check("sqlite:///var/lib/log.sqlite", "sqlite:/var/lib/log.sqlite");
    check("sqlite:some/log", "sqlite:some/log");
    check("postgres://host/db", "postgres://host/db");
    check("postgresql://[::1]:5432/db", "postgresql://[::1]:5432/db");
    check(
        "esdb://a:2113,b:2113?tls=false",
        "esdb://a:2113,b:2113?tls=false",
    );
    check("esdb+discover://cluster", "esdb+discover://cluster");
    check("kurrentdb://host", "kurrentdb://host");
}

#[test]
fn sqlite_takes_a_data_directory_for_the_file_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("sqlite:{}", folder.path().display());
    let url = LogUrl::parse(&text, None).unwrap();
    assert_eq!(url, LogUrl::Sqlite(folder.path().join("log.sqlite")));
}

#[test]
fn passwords_are_not_shown() {
    check(
        "postgres://ada:secret@host/db",
        "postgres://ada:***@host/db",
    );
    check("postgres://ada@host/db", "postgres://ada@host/db");
    check(
        "esdb://admin:secret@a:2113,b:2113?tls=true",
        "esdb://admin:***@a:2113,b:2113?tls=true",
    );
    check(
        "postgres://host/db?user=ada&password=secret&sslmode=require",
        "postgres://host/db?user=***&password=***&sslmode=require",
    );
    check("postgres://host/db?secret", "postgres://host/db?***=***");
    for careless in [
        "postgres://ada:sec/ret@host/db",
        "postgres://ada:sec?ret@host/db",
        "postgres://ada:sec@ret@host/db",
        "postgres://host/db?user=a@b&password=secret",
        "postgres://ada:secret",
        "postgres://host/db#secret",
    ] {
        check(careless, "postgres://***");
    }
    check(
        "postgres://ada:sec#ret@host/db",
        "postgres://ada:***@host/db",
    );
}

#[test]
fn what_is_no_log_is_refused_without_repeating_it() {
    let refused = |text| LogUrl::parse(text, None).unwrap_err();
    assert_eq!(refused("sqlite"), LogUrlError::NoDataDirectory);
    assert_eq!(refused("sqlite:"), LogUrlError::NoPath);
    for text in ["", "mysql://u:secret@h/db", "log.sqlite", "sqlit:x"] {
        assert_eq!(refused(text), LogUrlError::Unknown);
    }
    let known = LogUrlError::Unknown.to_string();
    for scheme in POSTGRES.iter().chain(&EVENTSTOREDB[..3]) {
        assert!(known.contains(&format!("{scheme}://")), "{scheme}: {known}");
    }
}

#[tokio::test]
async fn reading_makes_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let url = LogUrl::Sqlite(folder.path().join(SQLITE_FILE));
    let error = open_for_reading(&url).await.err().expect("it is not there");
    assert!(matches!(error, OpenLogError::Missing(_)), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    open(&url, SqliteOptions::default())
        .await
        .unwrap()
        .close()
        .await;
    let log = open_for_reading(&url).await.unwrap();
    assert_eq!(log.head().await.unwrap(), crate::Position::START);
}
