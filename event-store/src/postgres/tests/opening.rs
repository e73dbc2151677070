//! Opening a log: migrations, the schema, TLS.

use futures::future::join_all;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::super::{OpenError, PostgresEventLog, PostgresOptions};
use super::{connect, options};
use crate::conformance::fixture::{all, given, ids, within};
use crate::testing::postgres::{TestDatabase, TestServer};
use crate::{EventLog, Expected};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_that_start_at_once_make_the_tables_once() {
    let database = TestDatabase::create().await;
    let url = database.url();
    let logs = join_all((0..8).map(|_| connect(&url))).await;
    given(&*logs[0], "a", Expected::NoStream, 1..2).await;
    for log in &logs {
        assert_eq!(ids(&all(&**log).await), [1]);
    }
    let history = "SELECT count(*) FROM daybook.schema_history";
    let made: i64 = database
        .session()
        .await
        .query_one(history, &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(made, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_or_other_schema_is_refused() {
    let database = TestDatabase::create().await;
    connect(&database.url()).await.close().await;
    let newer = "INSERT INTO daybook.schema_history \
                 SELECT 999, 'later', applied_on, checksum FROM daybook.schema_history";
    database.execute(newer).await;
    let refused = PostgresEventLog::connect(&database.url(), options()).await;
    let why = refused.err().expect("it is newer").to_string();
    assert!(why.contains("V999__later is newer"), "{why}");
    let other = "DELETE FROM daybook.schema_history WHERE version = 999; \
                 UPDATE daybook.schema_history SET checksum = '1'";
    database.execute(other).await;
    let refused = PostgresEventLog::connect(&database.url(), options()).await;
    assert!(matches!(refused, Err(OpenError::Schema { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemas_are_ledgers_of_their_own() {
    let database = TestDatabase::create().await;
    let open = |schema: &str| {
        let options = PostgresOptions {
            schema: schema.into(),
            ..options()
        };
        let url = database.url();
        async move { PostgresEventLog::connect(&url, options).await }
    };
    let (first, second) = (
        open("first").await.unwrap(),
        open("second_2").await.unwrap(),
    );
    given(&*first, "a", Expected::NoStream, 1..2).await;
    given(&*second, "a", Expected::NoStream, 2..3).await;
    assert_eq!(ids(&all(&*first).await), [1]);
    assert_eq!(ids(&all(&*second).await), [2]);
    for wrong in ["", "Upper", "pg_log", "a;b", "1st", "é", &"x".repeat(61)] {
        assert!(
            matches!(open(wrong).await, Err(OpenError::Config(_))),
            "{wrong}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_described() {
    let database = TestDatabase::create().await;
    let log = connect(&database.url()).await;
    given(&*log, "a", Expected::NoStream, 1..4).await;
    given(&*log, "b", Expected::NoStream, 4..6).await;
    assert_eq!(log.check_storage().await.unwrap(), Vec::<String>::new());
    database
        .execute("DELETE FROM daybook.events WHERE position = 1")
        .await;
    database
        .execute("UPDATE daybook.head SET position = 7")
        .await;
    let finds = log.check_storage().await.unwrap();
    assert_eq!(
        finds,
        [
            "the head is at 7, the newest event at 5",
            "there are 4 events up to position 5",
            "stream 1 has no first event with its name",
        ]
    );
}

/// A certificate authority as PEM, and a certificate with its key for a host.
fn certificates(host: &str) -> (String, String, String) {
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = authority.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec![host.to_owned()]).unwrap();
    let server = server.signed_by(&key, &issuer).unwrap();
    (root, server.pem(), key.serialize_pem())
}

/// Has the server speak TLS for the host; the URL's part that names its authority.
async fn speak_tls(server: &TestServer, host: &str) -> String {
    let (root, certificate, key) = certificates(host);
    let root = server.write_private_file("root.pem", &root);
    let certificate = server.write_private_file("server.pem", &certificate);
    let key = server.write_private_file("server.key", &key);
    let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    for setting in [
        format!("ssl_cert_file = '{}'", certificate.display()),
        format!("ssl_key_file = '{}'", key.display()),
        "ssl = on".into(),
    ] {
        let set = format!("ALTER SYSTEM SET {setting}");
        client.batch_execute(&set).await.unwrap();
    }
    client
        .batch_execute("SELECT pg_reload_conf()")
        .await
        .unwrap();
    within(async {
        let on = "SELECT current_setting('ssl') = 'on'";
        while !client.query_one(on, &[]).await.unwrap().get::<_, bool>(0) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    format!("sslrootcert={}", root.display())
}

/// Whether all sessions of the log speak TLS; `None` where it cannot be opened.
async fn encrypted(server: &TestServer, query: &str) -> Option<bool> {
    let url = format!("{}?{query}", server.url());
    let log = PostgresEventLog::connect(&url, options()).await.ok()?;
    given(&*log, query, Expected::NoStream, 1..2).await;
    let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let sql = "SELECT count(*) FILTER (WHERE ssl), count(*) \
               FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
               WHERE application_name = $1";
    let row = client.query_one(sql, &[&"daybook"]).await.unwrap();
    let (encrypted, all): (i64, i64) = (row.get(0), row.get(1));
    log.close().await;
    assert!(all > 0 && (encrypted == 0 || encrypted == all));
    Some(encrypted > 0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_as_the_url_says() {
    let server = TestServer::start();
    let root = speak_tls(&server, "127.0.0.1").await;
    let verified = format!("sslmode=verify-full&{root}");
    assert_eq!(encrypted(&server, &verified).await, Some(true));
    assert_eq!(encrypted(&server, "sslmode=require").await, Some(true));
    assert_eq!(encrypted(&server, "sslmode=verify-full").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_without_or_with_the_wrong_name() {
    let server = TestServer::start();
    assert_eq!(encrypted(&server, "sslmode=require").await, None);
    assert_eq!(encrypted(&server, "sslmode=prefer").await, Some(false));
    let root = speak_tls(&server, "elsewhere.example").await;
    assert_eq!(
        encrypted(&server, &format!("sslmode=verify-full&{root}")).await,
        None
    );
    assert_eq!(encrypted(&server, "sslmode=disable").await, Some(false));
}
