use super::{Shutdown, TestDatabase, TestServer};

async fn number(url: &str, sql: &str) -> i64 {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_database_is_gone_when_dropped() {
    let server = TestServer::start();
    let database = TestDatabase::create().await;
    database
        .execute("CREATE TABLE t AS SELECT 7::bigint AS n")
        .await;
    assert_eq!(number(&database.url(), "SELECT n FROM t").await, 7);
    let other = TestDatabase::create_on(server).await;
    assert_eq!(number(&other.url(), "SELECT 1::bigint").await, 1);
}

#[tokio::test]
async fn a_server_keeps_its_data_and_port_over_restarts() {
    let mut server = TestServer::start();
    let client = super::database::session(&server.url()).await;
    client
        .batch_execute("CREATE TABLE t (n bigint)")
        .await
        .unwrap();
    for (count, how) in [(1, Shutdown::Fast), (2, Shutdown::Immediate)] {
        let client = super::database::session(&server.url()).await;
        client
            .batch_execute("INSERT INTO t VALUES (1)")
            .await
            .unwrap();
        let port = server.port();
        server.stop(how);
        assert!(client.batch_execute("SELECT 1").await.is_err());
        server.start_again();
        assert_eq!(server.port(), port);
        assert_eq!(number(&server.url(), "SELECT count(*) FROM t").await, count);
    }
}

#[tokio::test]
async fn a_standby_has_what_the_primary_had_and_takes_over() {
    let mut primary = TestServer::start();
    let client = super::database::session(&primary.url()).await;
    client
        .batch_execute("CREATE TABLE t AS SELECT 7 AS n")
        .await
        .unwrap();
    let standby = primary.standby();
    assert_eq!(number(&standby.url(), "SELECT count(*) FROM t").await, 1);
    primary.stop(Shutdown::Immediate);
    standby.promote();
    let client = super::database::session(&standby.url()).await;
    client
        .batch_execute("INSERT INTO t VALUES (8)")
        .await
        .unwrap();
}
