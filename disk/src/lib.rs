//! What is asked of the disk beyond the standard library, by rooms that know nothing of each other.
//!
//! A sync waits for all that the disk was given before it. So whoever writes without a sync has it
//! written at once and little by little: then nobody's sync meets seconds of it.

use std::fs::File;

/// Tells the system to write now what it holds of a file from a byte on: so many bytes, or with 0
/// all there is. It does not wait until that is done, at most for room in the disk's queue, and
/// promises nothing: a sync does that. Anywhere but on Linux the system writes in its own time.
pub fn begin_to_write(file: &File, from: u64, bytes: u64) {
    #[cfg(target_os = "linux")]
    linux::begin_to_write(file, from, bytes);
    #[cfg(not(target_os = "linux"))]
    let _ = (file, from, bytes);
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::os::fd::AsRawFd;

    pub(super) fn begin_to_write(file: &File, from: u64, bytes: u64) {
        let (Ok(from), Ok(bytes)) = (i64::try_from(from), i64::try_from(bytes)) else {
            return;
        };
        let flags = libc::SYNC_FILE_RANGE_WRITE;
        #[expect(unsafe_code, reason = "rustix and nix have no name for it")]
        // SAFETY: it touches no memory of this process, and `file` keeps the descriptor open.
        let _ = unsafe { libc::sync_file_range(file.as_raw_fd(), from, bytes, flags) };
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_keeps_what_it_has_whatever_part_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut file = File::create(&path).unwrap();
        let content = vec![7; 3 * 4096 + 5];
        file.write_all(&content).unwrap();
        for (from, bytes) in [(0, 0), (4096, 4096), (1 << 40, 1), (u64::MAX, 1)] {
            begin_to_write(&file, from, bytes);
        }
        assert_eq!(std::fs::read(&path).unwrap(), content);
    }
}
