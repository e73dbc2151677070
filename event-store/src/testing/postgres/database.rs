//! A fresh database for one test.

use std::thread;

use tokio_postgres::{Client, NoTls};

use super::TestServer;

/// Names the server that the databases of tests are made on: a `postgres://…` URL of a superuser.
pub const TEST_SERVER_VARIABLE: &str = "DAYBOOK_TEST_POSTGRES_URL";

/// A database of its own, dropped at the end. It is on the server named by
/// [`TEST_SERVER_VARIABLE`], or, where that is not set, on a server of its own.
#[derive(Debug)]
pub struct TestDatabase {
    /// Of the server's database `postgres`.
    server_url: String,
    name: String,
    /// Held for as long as the database is needed.
    server: Option<TestServer>,
}

impl TestDatabase {
    /// Makes an empty database.
    pub async fn create() -> Self {
        let url = std::env::var(TEST_SERVER_VARIABLE).unwrap_or_default();
        if url.is_empty() {
            return Self::create_on(TestServer::start()).await;
        }
        Self::create_at(url, None).await
    }

    /// Makes an empty database on this server, which it keeps.
    pub async fn create_on(server: TestServer) -> Self {
        Self::create_at(server.url(), Some(server)).await
    }

    async fn create_at(server_url: String, server: Option<TestServer>) -> Self {
        let name = format!("test_{}", hex::encode(crate::clock::new_salt()));
        execute(
            &server_url,
            &format!("CREATE DATABASE {name} TEMPLATE template0"),
        )
        .await;
        Self {
            server_url,
            name,
            server,
        }
    }

    /// `postgres://…` of the database, as superuser.
    pub fn url(&self) -> String {
        let (server, rest) = split(&self.server_url);
        let query = rest.find('?').map_or("", |place| &rest[place..]);
        format!("{server}/{}{query}", self.name)
    }

    /// Executes SQL in the database, in a session of its own.
    pub async fn execute(&self, sql: &str) {
        execute(&self.url(), sql).await;
    }

    /// A session in the database.
    pub async fn session(&self) -> Client {
        session(&self.url()).await
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if self.server.is_some() {
            return;
        }
        let (url, sql) = (
            self.server_url.clone(),
            format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name),
        );
        // A thread of its own: the runtime of the test may be about to end.
        let dropping = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("there is a runtime");
            runtime.block_on(execute(&url, &sql));
        });
        let dropped = dropping.join();
        assert!(
            dropped.is_ok() || thread::panicking(),
            "the database {} could not be dropped",
            self.name
        );
    }
}

async fn execute(url: &str, sql: &str) {
    let session = session(url).await;
    let result = session.batch_execute(sql).await;
    result.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

pub(super) async fn session(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .unwrap_or_else(|error| panic!("the test server does not take a session: {error:?}"));
    // It ends when the client is dropped.
    tokio::spawn(connection);
    client
}

/// The URL up to the database, and the rest.
fn split(url: &str) -> (&str, &str) {
    let host = url.find("://").map_or(0, |place| place + 3);
    let end = url[host..]
        .find('/')
        .map_or(url.len(), |place| host + place);
    (&url[..end], url[end..].trim_start_matches('/'))
}
