//! PostgreSQL for tests: a server of one's own ([`TestServer`]), where it has to be stopped, killed
//! or failed over, and else a database of one's own ([`TestDatabase`]) on the server that `./test`
//! started.
//!
//! Servers listen on loopback and a free port, keep their data in a temporary folder and are gone
//! when dropped. They come from Debian's package `postgresql`.

mod database;
mod process;
mod server;

pub use self::database::{TEST_SERVER_VARIABLE, TestDatabase};
pub use self::server::{Shutdown, TestServer};

#[cfg(test)]
mod tests;
