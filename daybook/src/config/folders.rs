//! Which folders of a config lie within each other where they must not: the gateway would offer
//! the ledger's own files as objects, or a function's package would hold the ledger.

use std::path::{Component, Path, PathBuf};

use daybook_event_store::open::LogUrl;
use daybook_s3_gateway::BucketConfig;

use super::check::Place;
use super::{BlobsAt, Config, ConfigError};

/// Refuses buckets and code that share files with the ledger.
pub(super) fn check(place: &Place<'_>, config: &Config) -> Result<(), ConfigError> {
    let mut own = vec![("the data directory", real(&config.data_dir))];
    if let BlobsAt::Folder(folder) = &config.blobs {
        own.push(("the blobs' folder", real(folder)));
    }
    if let LogUrl::Sqlite(file) = &config.store {
        let folder = file.parent().unwrap_or(file);
        own.push(("the event log's folder", real(folder)));
    }
    for (name, bucket) in &config.buckets {
        let BucketConfig::Local(bucket) = bucket else {
            continue;
        };
        let root = real(&bucket.root);
        for (what, folder) in &own {
            if within_each_other(&root, folder) {
                let problem = format!(
                    "its folder {} and {what} {} lie within each other; give the bucket its own",
                    root.display(),
                    folder.display()
                );
                return place.wrong(&format!("buckets.{name}.path"), problem);
            }
        }
    }
    for function in &config.functions {
        let code = real(&function.code);
        // A built-in function has no code of its own, its path is the config's folder; the code of
        // a remote one is elsewhere.
        let runtime = function.runtime;
        let has_code = runtime != daybook_functions::Runtime::Builtin && !runtime.is_remote();
        let inside = own.iter().find(|(_, folder)| folder.starts_with(&code));
        if let Some((what, folder)) = inside.filter(|_| has_code) {
            let problem = format!(
                "the folder {} holds {what} {}; give the code a folder of its own",
                code.display(),
                folder.display()
            );
            return place.wrong(&format!("functions.{}.code", function.name), problem);
        }
    }
    Ok(())
}

/// Whether one folder is the other or lies in it, whatever they are called.
pub(super) fn share_files(a: &Path, b: &Path) -> bool {
    within_each_other(&real(a), &real(b))
}

fn within_each_other(a: &Path, b: &Path) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

/// The path without `..` and symbolic links, as far as it exists.
fn real(path: &Path) -> PathBuf {
    let mut real = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                real.pop();
            }
            part => {
                real.push(part);
                real = real.canonicalize().unwrap_or(real);
            }
        }
    }
    real
}
