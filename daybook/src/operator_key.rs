//! The S3 key pair that is made at first start where the config has none. It is kept in the data
//! directory, readable by its owner alone.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use daybook_s3_gateway::OperatorKey;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The name of the file in the data directory.
pub(crate) const FILE: &str = "s3-operator-key.toml";

#[derive(Serialize, Deserialize)]
struct Pair {
    access_key: String,
    secret_key: String,
}

/// The kept pair, made now if there is none.
pub(crate) fn load_or_make(data_dir: &Path) -> Result<OperatorKey> {
    let path = data_dir.join(FILE);
    let pair = match std::fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text).with_context(|| {
            format!(
                "{} is not a key pair; delete it to get a new one",
                path.display()
            )
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let pair = make();
            write(&path, &pair).with_context(|| format!("{} cannot be written", path.display()))?;
            pair
        }
        Err(error) => return Err(error).context(format!("{} cannot be read", path.display())),
    };
    Ok(OperatorKey {
        name: "operator".to_owned(),
        access_key: pair.access_key,
        secret_key: pair.secret_key,
        read: vec!["*".to_owned()],
        write: vec!["*".to_owned()],
    })
}

#[expect(clippy::disallowed_methods, reason = "a key is made of randomness")]
fn make() -> Pair {
    let random = || Uuid::new_v4().simple().to_string();
    Pair {
        access_key: format!("DBO{}", random()[..17].to_uppercase()),
        secret_key: format!("{}{}", random(), random()),
    }
}

fn write(path: &Path, pair: &Pair) -> Result<()> {
    let beside = path.with_extension("tmp");
    let _ = std::fs::remove_file(&beside);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(toml::to_string(pair)?.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    Ok(())
}
