//! A function's code as one deterministic archive: the same files give the same bytes and so the
//! same SHA-256 everywhere, which names the code's revision.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tempfile::TempPath;

/// Folders within folders at most, against loops that are none of symbolic links.
const DEPTH_LIMIT: usize = 128;

/// The code that was loaded.
#[derive(Debug)]
pub struct LoadedCode {
    /// SHA-256 of the package, in hexadecimal.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
    /// Where its bytes are.
    pub package: Package,
}

/// The bytes of a package.
#[derive(Debug)]
pub enum Package {
    /// A tar archive of the code folder.
    Archive(Archive),
    /// The code is elsewhere: a JSON document that says where, and what is known of it.
    Description(Bytes),
    /// The code is this program itself: the digest is that of the executable, and there is
    /// nothing to keep.
    Executable(PathBuf),
}

/// A tar archive in a temporary file, which is removed when this is dropped.
#[derive(Debug)]
pub struct Archive(TempPath);

impl Archive {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// Packs the folder into a temporary file in `into`. Everything in it counts; symbolic links are
/// packed as links and never followed. Its files may have `limit_bytes` together. Blocks.
pub(crate) fn pack(folder: &Path, into: &Path, limit_bytes: u64) -> io::Result<LoadedCode> {
    let file = tempfile::NamedTempFile::new_in(into)?;
    let (file, path) = file.into_parts();
    let mut hashing = write(folder, BufWriter::new(file), limit_bytes)?;
    hashing.inner.flush()?;
    Ok(LoadedCode {
        sha256: hex::encode(hashing.hash.finalize()),
        size: hashing.size,
        package: Package::Archive(Archive(path)),
    })
}

/// The digest of the package that the folder would give. Blocks.
pub(crate) fn digest(folder: &Path, limit_bytes: u64) -> io::Result<String> {
    let hashing = write(folder, io::sink(), limit_bytes)?;
    Ok(hex::encode(hashing.hash.finalize()))
}

fn write<W: Write>(folder: &Path, to: W, limit_bytes: u64) -> io::Result<Hashing<W>> {
    let mut packing = Packing {
        archive: tar::Builder::new(Hashing::new(to)),
        left_bytes: limit_bytes,
        limit_bytes,
    };
    packing.add_folder(folder, Path::new(""), 0)?;
    packing.archive.into_inner()
}

/// What a folder looks like from outside, for finding out that something in it was changed without
/// reading it: names, sizes, inodes and times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// The fingerprint of a code folder. Blocks.
pub fn fingerprint(folder: &Path) -> io::Result<Fingerprint> {
    let mut hash = Sha256::new();
    look(folder, &mut hash, 0)?;
    Ok(Fingerprint(hash.finalize().into()))
}

fn look(folder: &Path, hash: &mut Sha256, depth: usize) -> io::Result<()> {
    if depth > DEPTH_LIMIT {
        return Err(io::Error::other("it is nested too deeply"));
    }
    for entry in sorted(folder)? {
        let (name, data) = (entry.file_name(), entry.metadata()?);
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name.as_bytes());
        for number in [
            data.mtime(),
            data.mtime_nsec(),
            data.ctime(),
            data.ctime_nsec(),
        ] {
            hash.update(number.to_le_bytes());
        }
        for number in [data.ino(), data.size(), u64::from(data.mode())] {
            hash.update(number.to_le_bytes());
        }
        if data.is_dir() {
            look(&entry.path(), hash, depth + 1)?;
        }
    }
    Ok(())
}

/// The digest of an executable. Blocks.
pub(crate) fn executable(program: &Path) -> io::Result<LoadedCode> {
    let mut hashing = Hashing::new(io::sink());
    let size = io::copy(&mut File::open(program)?, &mut hashing)?;
    Ok(LoadedCode {
        sha256: hex::encode(hashing.hash.finalize()),
        size,
        package: Package::Executable(program.to_owned()),
    })
}

/// A package that is being written.
struct Packing<W: Write> {
    archive: tar::Builder<Hashing<W>>,
    left_bytes: u64,
    limit_bytes: u64,
}

impl<W: Write> Packing<W> {
    fn add_folder(&mut self, folder: &Path, inside: &Path, depth: usize) -> io::Result<()> {
        if depth > DEPTH_LIMIT {
            return Err(io::Error::other(format!(
                "{} is nested too deeply",
                inside.display()
            )));
        }
        for entry in sorted(folder)? {
            let inside = inside.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                let mut header = header(tar::EntryType::Directory, 0o755);
                self.archive
                    .append_data(&mut header, &inside, io::empty())?;
                self.add_folder(&entry.path(), &inside, depth + 1)?;
            } else if kind.is_symlink() {
                let target = std::fs::read_link(entry.path())?;
                check_link(&inside, &target)?;
                let mut header = header(tar::EntryType::Symlink, 0o644);
                self.archive.append_link(&mut header, &inside, target)?;
            } else if kind.is_file() {
                self.add_file(&entry.path(), &inside)?;
            }
            // Sockets, pipes and devices are not code.
        }
        Ok(())
    }

    fn add_file(&mut self, path: &Path, inside: &Path) -> io::Result<()> {
        let file = File::open(path)?;
        let data = file.metadata()?;
        self.left_bytes = self.left_bytes.checked_sub(data.len()).ok_or_else(|| {
            io::Error::other(format!(
                "its files have more than {} bytes together: move what is no code out of the \
                 folder, or raise limits.max_package_size",
                self.limit_bytes
            ))
        })?;
        let mut header = header(tar::EntryType::Regular, plain_mode(&data.permissions()));
        header.set_size(data.len());
        // Exactly as long as the header says, even if the file grows meanwhile.
        let mut exact = io::Read::take(&file, data.len());
        self.archive.append_data(&mut header, inside, &mut exact)?;
        match exact.limit() {
            0 => Ok(()),
            _ => Err(io::Error::other(format!(
                "{} shrank while read",
                inside.display()
            ))),
        }
    }
}

fn sorted(folder: &Path) -> io::Result<Vec<std::fs::DirEntry>> {
    let mut entries = std::fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by(|a, b| a.file_name().as_bytes().cmp(b.file_name().as_bytes()));
    Ok(entries)
}

fn header(kind: tar::EntryType, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header.set_mode(mode);
    header.set_entry_type(kind);
    header
}

/// A relative link must not lead out of the folder: from the copy that runs it would lead elsewhere.
fn check_link(inside: &Path, target: &Path) -> io::Result<()> {
    if target.is_absolute() {
        return Ok(());
    }
    let mut depth = inside.components().count().saturating_sub(1);
    for part in target.components() {
        match part {
            Component::ParentDir if depth == 0 => {
                return Err(io::Error::other(format!(
                    "the link {} leads out of the folder: put what it names into the folder, or make \
                     the link absolute",
                    inside.display()
                )));
            }
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            _ => {}
        }
    }
    Ok(())
}

fn plain_mode(permissions: &Permissions) -> u32 {
    if permissions.mode() & 0o100 == 0 {
        0o644
    } else {
        0o755
    }
}

/// Hashes and counts what is written.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    size: u64,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            size: 0,
        }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.inner.write(bytes)?;
        self.hash.update(&bytes[..length]);
        self.size += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests;
