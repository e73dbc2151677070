//! A function's code as one deterministic archive: the same files give the same bytes and so the
//! same SHA-256 everywhere, which names the code's revision.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

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
/// packed as links and never followed. Blocks.
pub(crate) fn pack(folder: &Path, into: &Path) -> io::Result<LoadedCode> {
    let file = tempfile::NamedTempFile::new_in(into)?;
    let (file, path) = file.into_parts();
    let mut archive = tar::Builder::new(Hashing::new(BufWriter::new(file)));
    add_folder(&mut archive, folder, Path::new(""), 0)?;
    let mut hashing = archive.into_inner()?;
    hashing.inner.flush()?;
    Ok(LoadedCode {
        sha256: hex::encode(hashing.hash.finalize()),
        size: hashing.size,
        package: Package::Archive(Archive(path)),
    })
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

fn add_folder<W: Write>(
    archive: &mut tar::Builder<W>,
    folder: &Path,
    inside: &Path,
    depth: usize,
) -> io::Result<()> {
    if depth > DEPTH_LIMIT {
        return Err(io::Error::other(format!(
            "{} is nested too deeply",
            inside.display()
        )));
    }
    let mut entries = std::fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by(|a, b| a.file_name().as_bytes().cmp(b.file_name().as_bytes()));
    for entry in entries {
        let inside = inside.join(entry.file_name());
        let kind = entry.file_type()?;
        let mut header = tar::Header::new_gnu();
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        header.set_mode(0o644);
        if kind.is_dir() {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(0o755);
            archive.append_data(&mut header, &inside, io::empty())?;
            add_folder(archive, &entry.path(), &inside, depth + 1)?;
        } else if kind.is_symlink() {
            header.set_entry_type(tar::EntryType::Symlink);
            archive.append_link(&mut header, &inside, std::fs::read_link(entry.path())?)?;
        } else if kind.is_file() {
            let file = File::open(entry.path())?;
            let data = file.metadata()?;
            header.set_entry_type(tar::EntryType::Regular);
            header.set_mode(plain_mode(&data.permissions()));
            header.set_size(data.len());
            // Exactly as long as the header says, even if the file grows meanwhile.
            let mut exact = io::Read::take(&file, data.len());
            archive.append_data(&mut header, &inside, &mut exact)?;
            if exact.limit() > 0 {
                return Err(io::Error::other(format!(
                    "{} shrank while read",
                    inside.display()
                )));
            }
        }
        // Sockets, pipes and devices are not code.
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
