//! Names and ids, parsed once at the edge so that they need not be checked again.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

/// A name that breaks its rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{kind} {name:?} {rule}")]
pub struct InvalidName {
    kind: &'static str,
    name: String,
    rule: &'static str,
}

macro_rules! name {
    ($(#[$meta:meta])* $name:ident, $kind:literal, $rule:literal, $valid:expr) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Parses the name.
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidName> {
                let name = text.into();
                let valid: fn(&str) -> bool = $valid;
                if valid(&name) {
                    Ok(Self(name.into()))
                } else {
                    Err(InvalidName { kind: $kind, name, rule: $rule })
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::parse(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A bucket. Wider than S3's rule for new buckets, so that old names fit, and the two containers
    /// that Azure itself names.
    BucketName,
    "bucket name",
    "must have 1 to 255 letters, digits, dots, hyphens or underscores and start with a letter or digit",
    |name| {
        name.len() <= 255
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c))
            || ["$root", "$web"].contains(&name)
    }
);
name!(
    /// An object's key: any text of 1 to 1,024 bytes in UTF-8 (S3 user guide, "Naming objects").
    ObjectKey,
    "object key",
    "must have 1 to 1024 bytes",
    |key| (1..=1024).contains(&key.len())
);
name!(
    /// A function.
    FunctionName,
    "function name",
    "must have 1 to 64 letters, digits, hyphens or underscores",
    |name| is_plain(name, 64)
);
name!(
    /// A pipeline.
    PipelineName,
    "pipeline name",
    "must have 1 to 80 letters, digits, hyphens or underscores",
    |name| is_plain(name, 80)
);

name!(
    /// One shadow: what is written under it lies apart, see [`ShadowId::prefix`].
    ShadowId,
    "shadow id",
    "must have 1 to 64 letters, digits, hyphens or underscores",
    |name| is_plain(name, 64)
);

/// Below it lie the shadows of a bucket.
pub const SHADOWS: &str = "shadow/";

impl ShadowId {
    /// What the keys begin with that are written under this shadow.
    pub fn prefix(&self) -> String {
        format!("{SHADOWS}{self}/")
    }

    /// Where a write to a key goes.
    pub fn redirect(&self, key: &ObjectKey) -> Result<ObjectKey, InvalidName> {
        ObjectKey::parse(format!("{}{key}", self.prefix()))
    }
}

impl From<ExecutionId> for ShadowId {
    fn from(execution: ExecutionId) -> Self {
        Self(execution.to_string().into())
    }
}

fn is_plain(name: &str, most: usize) -> bool {
    (1..=most).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
}

macro_rules! id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map($name)
            }
        }
    };
}

id!(
    /// One command. Sending it twice under the same id is sending it once.
    CommandId
);
id!(
    /// One run of a pipeline for one cause; see [`crate::execution::id_of`].
    ExecutionId
);
id!(
    /// One bulk re-run.
    ReplayId
);
id!(
    /// One comparison of a bucket with the ledger.
    ReconcileId
);
id!(
    /// One export.
    ExportId
);
id!(
    /// One life of a command service: a new one at each start.
    WorkerId
);
