//! A secret of the config: given as text, from the environment or from a file; never shown.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where a secret comes from.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a string, { env = \"NAME\" } or { file = \"PATH\" }"
)]
pub(super) enum Secret {
    Text(String),
    Env(FromEnv),
    File(FromFile),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FromEnv {
    env: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FromFile {
    file: PathBuf,
}

impl Secret {
    /// The file that it is read from, if it is.
    pub(super) fn file(&self, folder: &Path) -> Option<PathBuf> {
        match self {
            Secret::File(FromFile { file }) => Some(folder.join(file)),
            Secret::Text(_) | Secret::Env(_) => None,
        }
    }

    /// The secret itself, or what to do to have it.
    pub(super) fn resolve(&self, folder: &Path) -> Result<String, String> {
        let secret = match self {
            Secret::Text(text) => text.clone(),
            Secret::Env(FromEnv { env }) => std::env::var(env)
                .map_err(|_| format!("the environment variable {env} is not set; set it"))?,
            Secret::File(FromFile { file }) => {
                let path = folder.join(file);
                let text = std::fs::read_to_string(&path)
                    .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
                text.trim_end_matches(['\r', '\n']).to_owned()
            }
        };
        if secret.is_empty() {
            return Err("the secret is empty".to_owned());
        }
        Ok(secret)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
