//! One way to say where a log is, and one to open it, for all engines.
//!
//! ```text
//!  sqlite                              DIR/log.sqlite in the data directory
//!  sqlite:PATH                         a file, or a data directory that holds log.sqlite
//!  postgres://…  postgresql://…        a database of PostgreSQL
//!  esdb://…  esdb+discover://…  kurrentdb://…   EventStoreDB, KurrentDB
//! ```
//! Such URLs may hold passwords: [`LogUrl`] shows none, neither for people nor for debugging.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::EventLog;
#[cfg(feature = "eventstoredb")]
use crate::eventstoredb;
use crate::postgres::{self, PostgresEventLog, PostgresOptions};
use crate::sqlite::{OpenError, SqliteEventLog, SqliteOptions};

/// The file of a SQLite log in a data directory.
pub const SQLITE_FILE: &str = "log.sqlite";

/// The schemes of each engine that is reached over the network.
const POSTGRES: [&str; 2] = ["postgres", "postgresql"];
const EVENTSTOREDB: [&str; 4] = ["esdb", "esdb+discover", "kurrentdb", "kurrentdb+discover"];

/// Where a log is.
#[derive(Clone, PartialEq, Eq)]
pub enum LogUrl {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL database, by its whole URL.
    Postgres(String),
    /// An EventStoreDB or KurrentDB cluster, by its whole URL.
    EventStoreDb(String),
}

/// A text that says of no log where it is. Correct it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LogUrlError {
    /// It is no URL of a known kind. The text itself is not shown: it may hold a password.
    #[error(
        "not the URL of a log: known are sqlite, sqlite:PATH, postgres://…, postgresql://…, \
         esdb://…, esdb+discover://… and kurrentdb://…"
    )]
    Unknown,
    /// `sqlite` alone needs to know the data directory.
    #[error("the URL sqlite needs a data directory; name the file, as in sqlite:PATH")]
    NoDataDirectory,
    /// There is nothing after the colon.
    #[error("sqlite: needs the path of a file or of a data directory")]
    NoPath,
}

/// Why a log was not opened.
#[derive(Debug, Error)]
pub enum OpenLogError {
    /// The file cannot be used.
    #[error(transparent)]
    Sqlite(#[from] OpenError),
    /// There is no such file to be read.
    #[error("there is no log at {}", .0.display())]
    Missing(PathBuf),
    /// The database cannot be used.
    #[error("{url} cannot be opened")]
    Postgres {
        /// Where the log is.
        url: LogUrl,
        /// What is wrong.
        source: postgres::OpenError,
    },
    /// The cluster cannot be used.
    #[cfg(feature = "eventstoredb")]
    #[error("{url} cannot be opened")]
    EventStoreDb {
        /// Where the log is.
        url: LogUrl,
        /// What is wrong.
        source: eventstoredb::ConnectError,
    },
    /// This build cannot reach EventStoreDB. Use one with the feature `eventstoredb`.
    #[cfg(not(feature = "eventstoredb"))]
    #[error(
        "{0} is on EventStoreDB, which is an experiment; build the program with --features eventstoredb"
    )]
    NoAdapter(LogUrl),
}

impl LogUrl {
    /// Reads a URL; `data_dir` is what `sqlite` alone refers to.
    pub fn parse(text: &str, data_dir: Option<&Path>) -> Result<Self, LogUrlError> {
        if text == "sqlite" {
            let data_dir = data_dir.ok_or(LogUrlError::NoDataDirectory)?;
            return Ok(Self::Sqlite(data_dir.join(SQLITE_FILE)));
        }
        if let Some(path) = text.strip_prefix("sqlite:") {
            return sqlite_at(path.strip_prefix("//").unwrap_or(path));
        }
        let (scheme, _) = text.split_once("://").ok_or(LogUrlError::Unknown)?;
        let one_of = |known: &[&str]| known.iter().any(|known| scheme.eq_ignore_ascii_case(known));
        if one_of(&POSTGRES) {
            Ok(Self::Postgres(text.to_owned()))
        } else if one_of(&EVENTSTOREDB) {
            Ok(Self::EventStoreDb(text.to_owned()))
        } else {
            Err(LogUrlError::Unknown)
        }
    }

    /// Whether the engine leaves no gaps between the positions of events.
    pub fn is_contiguous(&self) -> bool {
        !matches!(self, Self::EventStoreDb(_))
    }
}

fn sqlite_at(path: &str) -> Result<LogUrl, LogUrlError> {
    if path.is_empty() {
        return Err(LogUrlError::NoPath);
    }
    let path = PathBuf::from(path);
    let file = if path.is_dir() {
        path.join(SQLITE_FILE)
    } else {
        path
    };
    Ok(LogUrl::Sqlite(file))
}

/// Opens a log to append to it. A SQLite file is made if it does not exist, and run with `sqlite`.
pub async fn open(url: &LogUrl, sqlite: SqliteOptions) -> Result<Arc<dyn EventLog>, OpenLogError> {
    match url {
        LogUrl::Sqlite(path) => Ok(SqliteEventLog::open(path, sqlite)?),
        _ => open_server(url).await,
    }
}

/// Opens a log only to read it, beside whoever writes to it. Nothing is made or changed.
pub async fn open_for_reading(url: &LogUrl) -> Result<Arc<dyn EventLog>, OpenLogError> {
    match url {
        LogUrl::Sqlite(path) if !path.exists() => Err(OpenLogError::Missing(path.clone())),
        LogUrl::Sqlite(path) => Ok(SqliteEventLog::open_read_only(path)?),
        _ => open_server(url).await,
    }
}

/// A log that is reached over the network may be opened by any number.
async fn open_server(url: &LogUrl) -> Result<Arc<dyn EventLog>, OpenLogError> {
    match url {
        LogUrl::Sqlite(path) => Err(OpenLogError::Missing(path.clone())),
        LogUrl::Postgres(text) => {
            match PostgresEventLog::connect(text, PostgresOptions::default()).await {
                Ok(log) => Ok(log),
                Err(source) => Err(OpenLogError::Postgres {
                    url: url.clone(),
                    source,
                }),
            }
        }
        #[cfg(feature = "eventstoredb")]
        LogUrl::EventStoreDb(text) => {
            let options = eventstoredb::EventStoreDbOptions::default();
            match eventstoredb::EventStoreDbLog::connect(text, options).await {
                Ok(log) => Ok(log),
                Err(source) => Err(OpenLogError::EventStoreDb {
                    url: url.clone(),
                    source,
                }),
            }
        }
        #[cfg(not(feature = "eventstoredb"))]
        LogUrl::EventStoreDb(_) => Err(OpenLogError::NoAdapter(url.clone())),
    }
}

impl fmt::Display for LogUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) | Self::EventStoreDb(url) => f.write_str(&without_secrets(url)),
        }
    }
}

impl fmt::Debug for LogUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogUrl({self})")
    }
}

/// What is shown in place of a secret.
const HIDDEN: &str = "***";

/// The parameters whose values are no secrets; all others are hidden.
const PLAIN_PARAMETERS: [&str; 7] = [
    "application_name",
    "connect_timeout",
    "nodepreference",
    "sslmode",
    "target_session_attrs",
    "tls",
    "tlsverifycert",
];

/// The URL without its password and without the values of parameters that may be one. A password
/// that should have been escaped can be anywhere, so a URL that is not plain is not shown.
fn without_secrets(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (place, query) = match rest.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (rest, None),
    };
    let (user, host) = place.rsplit_once('@').unwrap_or(("", place));
    let is_plain = !user.contains(['@', '/'])
        && !host.contains('#')
        && host_and_ports(host)
        && !query.is_some_and(|query| query.contains(['@', '?', '#']));
    if !is_plain {
        return format!("{scheme}://{HIDDEN}");
    }
    let user = match user.split_once(':') {
        Some((user, _)) => format!("{user}:{HIDDEN}@"),
        None if user.is_empty() => String::new(),
        None => format!("{user}@"),
    };
    let query = query.map(|query| format!("?{}", parameters(query)));
    format!("{scheme}://{user}{host}{}", query.unwrap_or_default())
}

/// Whether colons stand only before ports and in IPv6 addresses, not before a password without `@`.
fn host_and_ports(host: &str) -> bool {
    let hosts = host.split('/').next().unwrap_or(host);
    hosts.split(',').all(|host| {
        let port = host.rsplit_once(':').map_or("", |(_, port)| port);
        port.ends_with(']') || port.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn parameters(query: &str) -> String {
    let parameters = query.split('&').map(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((HIDDEN, HIDDEN));
        let plain = PLAIN_PARAMETERS.contains(&name.to_ascii_lowercase().as_str());
        format!("{name}={}", if plain { value } else { HIDDEN })
    });
    parameters.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests;
