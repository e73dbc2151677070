//! What a group has on disk: the files in its temporary folder, and those that it removed and
//! still holds open.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The unit of `st_blocks`.
const BLOCK_BYTES: u64 = 512;
/// What a name costs at least: many empty files are not nothing.
const ENTRY_BYTES: u64 = 512;

/// How many bytes; stops counting once it is more than `enough`.
pub(super) fn used(folder: &Path, members: &[i32], enough: u64) -> u64 {
    let mut seen = HashSet::new();
    let mut used = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(data) = entry.metadata() else { continue };
            if data.is_dir() {
                folders.push(entry.path());
            }
            used += ENTRY_BYTES + once(&data, &mut seen);
            if used > enough {
                return used;
            }
        }
    }
    let descriptors = members
        .iter()
        .filter_map(|member| fs::read_dir(format!("/proc/{member}/fd")).ok())
        .flatten()
        .flatten();
    for descriptor in descriptors {
        if let Ok(data) = fs::metadata(descriptor.path())
            && data.is_file()
            && data.nlink() == 0
        {
            used += once(&data, &mut seen);
        }
    }
    used
}

/// The size of a file that was not counted yet.
fn once(data: &Metadata, seen: &mut HashSet<(u64, u64)>) -> u64 {
    let counted = data.nlink() != 1 && !seen.insert((data.dev(), data.ino()));
    if counted {
        0
    } else {
        data.blocks() * BLOCK_BYTES
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const PIECE: usize = 1 << 20;

    fn written(path: &Path) -> fs::File {
        let mut file = fs::File::create(path).unwrap();
        file.write_all(&vec![1; PIECE]).unwrap();
        file.sync_all().unwrap();
        file
    }

    #[test]
    fn counts_each_file_once_and_removed_ones_while_they_are_open() {
        let folder = tempfile::TempDir::new().unwrap();
        let root = folder.path();
        let own = [std::process::id().cast_signed()];
        fs::create_dir(root.join("a")).unwrap();
        written(&root.join("a/one"));
        fs::hard_link(root.join("a/one"), root.join("two")).unwrap();
        let pieces = |members: &[i32]| used(root, members, u64::MAX) / PIECE as u64;
        assert_eq!(pieces(&own), 1);
        let open = written(&root.join("three"));
        assert_eq!(pieces(&own), 2);
        fs::remove_file(root.join("three")).unwrap();
        assert_eq!(pieces(&own), 2);
        assert_eq!(pieces(&[]), 1);
        drop(open);
        assert_eq!(pieces(&own), 1);
    }

    #[test]
    fn empty_files_are_not_nothing() {
        let folder = tempfile::TempDir::new().unwrap();
        for number in 0..100 {
            fs::write(folder.path().join(number.to_string()), "").unwrap();
        }
        assert!(used(folder.path(), &[], 1000) > 1000);
    }
}
