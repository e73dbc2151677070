use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

fn sample(into: &Path, order: &[&str]) {
    for name in order {
        let path = into.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, name).unwrap();
    }
    fs::set_permissions(into.join("run"), Permissions::from_mode(0o775)).unwrap();
    symlink("/etc/passwd", into.join("link")).unwrap();
}

fn packed(folder: &Path) -> (String, Vec<u8>) {
    let into = TempDir::new().unwrap();
    let loaded = pack(folder, into.path(), 1 << 30).unwrap();
    let Package::Archive(archive) = &loaded.package else {
        panic!("not an archive")
    };
    let bytes = fs::read(archive.path()).unwrap();
    assert_eq!(bytes.len() as u64, loaded.size);
    assert_eq!(hex::encode(Sha256::digest(&bytes)), loaded.sha256);
    (loaded.sha256, bytes)
}

#[test]
fn the_same_files_give_the_same_bytes() {
    let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    sample(first.path(), &["run", "a/b.txt", "a-b", "z"]);
    sample(second.path(), &["z", "a-b", "a/b.txt", "run"]);
    let later = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    File::options()
        .write(true)
        .open(second.path().join("z"))
        .unwrap()
        .set_modified(later)
        .unwrap();
    let before = packed(first.path());
    assert_eq!(before, packed(second.path()));
    fs::write(second.path().join("z"), "Z").unwrap();
    assert_ne!(before.0, packed(second.path()).0);
    fs::write(second.path().join("z"), "z").unwrap();
    assert_eq!(before, packed(second.path()));
    fs::set_permissions(second.path().join("z"), Permissions::from_mode(0o755)).unwrap();
    assert_ne!(before.0, packed(second.path()).0);
}

#[test]
fn everything_is_in_and_links_stay_links() {
    let folder = TempDir::new().unwrap();
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(120));
    sample(folder.path(), &["run", "node_modules/x/index.js", &long]);
    let (_, bytes) = packed(folder.path());
    let mut archive = tar::Archive::new(bytes.as_slice());
    let entries: Vec<(String, u32, tar::EntryType)> = archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.mtime().unwrap(), header.uid().unwrap()), (0, 0));
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            (path, header.mode().unwrap(), header.entry_type())
        })
        .collect();
    let find = |path: &str| entries.iter().find(|(found, ..)| found == path).unwrap();
    assert_eq!(find("run").1, 0o755);
    assert_eq!(find("node_modules/x/index.js").1, 0o644);
    assert_eq!(find("link").2, tar::EntryType::Symlink);
    assert_eq!(find(&long).1, 0o644);
}

#[test]
fn an_executable_is_its_own_package() {
    let folder = TempDir::new().unwrap();
    let program = folder.path().join("program");
    fs::write(&program, "abc").unwrap();
    let loaded = executable(&program).unwrap();
    assert_eq!(loaded.size, 3);
    assert!(loaded.sha256.starts_with("ba7816bf"));
    assert!(matches!(loaded.package, Package::Executable(path) if path == program));
}

#[test]
fn a_package_is_bounded() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("a"), "12345").unwrap();
    fs::write(folder.path().join("b"), "12345").unwrap();
    assert!(digest(folder.path(), 10).is_ok());
    let error = digest(folder.path(), 9).unwrap_err().to_string();
    assert!(error.contains("limits.max_package_size"), "{error}");
}

#[test]
fn a_relative_link_stays_inside() {
    let folder = TempDir::new().unwrap();
    fs::create_dir_all(folder.path().join("a/b")).unwrap();
    symlink("../../c", folder.path().join("a/b/link")).unwrap();
    assert!(digest(folder.path(), 0).is_ok());
    symlink("../../../c", folder.path().join("a/b/out")).unwrap();
    let error = digest(folder.path(), 0).unwrap_err().to_string();
    assert!(error.contains("a/b/out leads out of the folder"), "{error}");
}

#[test]
fn a_fingerprint_tells_that_something_changed() {
    let folder = TempDir::new().unwrap();
    sample(folder.path(), &["run", "a/b"]);
    let before = fingerprint(folder.path()).unwrap();
    assert_eq!(before, fingerprint(folder.path()).unwrap());
    // As an editor does it: the same size, another file.
    fs::write(folder.path().join("new"), "A/B").unwrap();
    fs::rename(folder.path().join("new"), folder.path().join("a/b")).unwrap();
    assert_ne!(before, fingerprint(folder.path()).unwrap());
}
