//! The gateway over HTTP: a real server on a free port, a small client, a ledger in memory.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "tests: requests are signed with the current time"
)]

mod by_hand;
mod client;
mod connections;
mod grants;
mod index;
mod keys;
mod kills;
mod listing;
mod made;
mod multipart;
mod objects;
mod recovery;
mod restored;
mod shadow;
mod sharing;
mod staged;
mod stub;
mod succession;
mod tagging;
mod upstream;
mod upstream_copies;
mod upstream_failing;
mod versions;
mod watch;
mod world;
