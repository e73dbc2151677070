//! Objects put into a bucket's folder as if a gateway had written them long ago, for measurements of
//! large buckets: files with their stamps, without syncs, and no word to a ledger.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use daybook_domain::BucketName;
use daybook_domain::stored_object::{ObjectVersion, OrderMark};
use md5::{Digest, Md5};
use uuid::Uuid;

use super::file_lock::FolderLock;
use super::key_path::{PRIVATE, plain_path};
use super::scan;
use super::stamp::{self, Birth, Checksums, Headers, Place, Stamp};
use super::temporaries::Temporaries;

/// Plants objects in the folder of one bucket, which nobody serves meanwhile.
pub struct Planter {
    bucket: BucketName,
    root: PathBuf,
    folder: Birth,
    temporaries: Temporaries,
    planted: u64,
}

impl Planter {
    /// Takes the folder, and makes it if it is missing.
    pub fn open(bucket: BucketName, root: &Path) -> io::Result<Self> {
        scan::prepare(root)?;
        let root = root.canonicalize()?;
        let lock = FolderLock::open(&root, false)?;
        Ok(Self {
            bucket,
            folder: Birth::of(&root.join(PRIVATE).metadata()?),
            temporaries: Temporaries::open(&root, &lock)?,
            root,
            planted: 0,
        })
    }

    /// Plants an object under a key that can be a path. Returns what the ledger is to know of it.
    pub fn plant(
        &mut self,
        key: &str,
        stamp: Uuid,
        body: &[u8],
    ) -> io::Result<(ObjectVersion, OrderMark)> {
        let relative = plain_path(key).ok_or(io::ErrorKind::InvalidInput)?;
        let path = self.root.join(relative);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = File::create_new(&path)?;
        file.write_all(body)?;
        let meta = file.metadata()?;
        self.planted += 1;
        let stamp = Stamp {
            key: key.to_owned(),
            version_id: stamp.simple().to_string(),
            stamp,
            etag: hex::encode(Md5::digest(body)),
            size: meta.len(),
            mtime_ns: stamp::mtime_ns(&meta),
            sequence: self.planted,
            event_name: "ObjectCreated:Put".to_owned(),
            place: Place {
                bucket: self.bucket.clone(),
                folder: self.folder,
                file: Birth::of(&meta),
            },
            found: false,
            null_version: true,
            marker: false,
            headers: Headers::default(),
            metadata: Default::default(),
            tags: Default::default(),
            checksums: Checksums::default(),
            upload: None,
            produced_by: None,
        };
        stamp::write(&self.root, &self.temporaries, &file, &stamp)?;
        stamp::mark_recorded(&self.root, &file, &stamp)?;
        Ok((stamp.version(), stamp.order()))
    }
}
