//! What is expected of one source of deliveries. It comes from the config.

use std::time::Duration;

use secrecy::SecretString;

use crate::Source;

/// What is expected of one source of deliveries.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The stores that it may speak of; of all of them if there is none.
    pub sources: Vec<Source>,
    /// What an HTTP request has to show, one of these. Whoever signs its messages (Amazon SNS,
    /// Backblaze B2 with a secret) need not show any. None: nobody has to.
    pub authentication: Vec<Authentication>,
    /// The signing secrets of Backblaze B2's rules: one of them has to have signed. None: its
    /// messages are as any others.
    pub b2_secrets: Vec<SecretString>,
    /// What is expected of Amazon SNS.
    pub sns: SnsSettings,
    /// The origins that may use us as a CloudEvents web hook. `*` stands for all.
    pub allowed_origins: Vec<String>,
    /// How much of a delivery is read.
    pub limits: Limits,
}

/// What an HTTP request has to show.
#[derive(Clone, Debug)]
pub enum Authentication {
    /// `Authorization: Bearer TOKEN`, as MinIO sends its `auth_token`.
    Bearer(SecretString),
    /// `Authorization: Basic …`, as Amazon SNS, Event Grid and Ceph send what stands in their URL.
    Basic {
        /// The user's name.
        user: String,
        /// The password.
        password: SecretString,
    },
    /// A header of this name, in lower case, with this value.
    Header {
        /// The name, in lower case.
        name: String,
        /// The value.
        value: SecretString,
    },
    /// A parameter of the query, for senders that can set nothing else (Event Grid, Pub/Sub).
    Query {
        /// The name.
        name: String,
        /// The value.
        value: SecretString,
    },
}

/// What is expected of Amazon SNS.
#[derive(Clone, Debug)]
pub struct SnsSettings {
    /// The topics that are listened to, by ARN; a `*` at the end stands for any rest. Over HTTP no
    /// other is, and none if there is none: anybody can have a topic that SNS signs for. In queues
    /// and invocations none means any, since AWS says there who may send.
    pub topics: Vec<String>,
    /// How old a message may be; none: as old as it likes. SNS tries again for hours under the
    /// time of the first attempt.
    pub max_age: Option<Duration>,
    /// Where its signatures are checked.
    pub signatures: SnsSignatures,
}

/// Where signatures of Amazon SNS are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SnsSignatures {
    /// In HTTP requests, which anybody can send.
    #[default]
    OverHttp,
    /// In queues and invocations as well, where AWS says who may send.
    Everywhere,
    /// Nowhere: for looking at a delivery that was kept, without a network. That the certificate
    /// would be at Amazon SNS is still checked.
    Nowhere,
}

impl Default for SnsSettings {
    fn default() -> Self {
        Self {
            topics: Vec::new(),
            max_age: Some(Self::DEFAULT_MAX_AGE),
            signatures: SnsSignatures::default(),
        }
    }
}

impl SnsSettings {
    /// Longer than the retries of SNS take by default. What is sent again later is a repetition that
    /// the ledger knows.
    pub const DEFAULT_MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

    /// Whether a topic is one of those that are listened to.
    pub fn allows(&self, topic: &str) -> bool {
        self.topics
            .iter()
            .any(|allowed| match allowed.strip_suffix('*') {
                Some(start) => topic.starts_with(start),
                None => topic == allowed,
            })
    }
}

/// How much of a delivery is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body.
    pub max_body: usize,
    /// Levels of a JSON document. At most 120, the parser's own bound.
    pub max_depth: usize,
    /// Values of a JSON document: each takes 32 bytes or more of memory.
    pub max_values: usize,
    /// Items of a delivery.
    pub max_items: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body: 16 * 1024 * 1024,
            max_depth: 64,
            max_values: 1_000_000,
            max_items: 10_000,
        }
    }
}
