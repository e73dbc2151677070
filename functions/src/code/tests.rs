use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;
use crate::package::{Package, pack};

const LIMIT_BYTES: u64 = 1 << 20;

struct Place {
    folder: TempDir,
    store: Arc<CodeStore>,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = CodeStore::new(folder.path().join("unpacked"), LIMIT_BYTES);
        Self { folder, store }
    }

    /// A folder with a program, a file, and a link; its archive and digest.
    fn packed(&self, text: &str) -> (package::LoadedCode, PathBuf) {
        let code = self.folder.path().join("code");
        fs::create_dir_all(code.join("lib")).unwrap();
        fs::write(code.join("lib/data"), text).unwrap();
        fs::write(code.join("run"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(code.join("run"), Permissions::from_mode(0o700)).unwrap();
        let _ = symlink("lib/data", code.join("link"));
        (pack(&code, self.folder.path(), LIMIT_BYTES).unwrap(), code)
    }

    fn open(&self, loaded: &package::LoadedCode) -> Arc<CodeFolder> {
        let Package::Archive(packed) = &loaded.package else {
            panic!("not an archive")
        };
        let reader = archive(packed.path()).unwrap();
        self.store.open(reader, &loaded.sha256).unwrap()
    }

    fn entries(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path().join("unpacked")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.starts_with(ASIDE)).collect()
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_copy_is_read_only_and_has_the_digest_of_the_package() {
    let place = Place::new();
    let (loaded, _) = place.packed("one");
    let folder = place.open(&loaded);
    assert_eq!(mode(folder.path()), 0o555);
    assert_eq!(mode(&folder.path().join("lib")), 0o555);
    assert_eq!(mode(&folder.path().join("lib/data")), 0o444);
    assert_eq!(mode(&folder.path().join("run")), 0o555);
    assert_eq!(
        fs::read_to_string(folder.path().join("link")).unwrap(),
        "one"
    );
    let found = package::digest(folder.path(), LIMIT_BYTES).unwrap();
    assert_eq!(found, loaded.sha256);
}

#[test]
fn a_copy_stays_as_long_as_somebody_uses_it() {
    let place = Place::new();
    let (loaded, code) = place.packed("one");
    let first = place.open(&loaded);
    let second = place.open(&loaded);
    fs::write(code.join("lib/data"), "changed").unwrap();
    drop(first);
    assert_eq!(
        fs::read_to_string(second.path().join("lib/data")).unwrap(),
        "one"
    );
    drop(second);
    assert!(place.entries().is_empty());
}

#[test]
fn what_a_start_finds_is_used_if_it_is_whole_and_swept_if_it_is_not_needed() {
    let place = Place::new();
    let (old, _) = place.packed("old");
    let (new, _) = place.packed("new");
    place.store.keep();
    let (path, file) = {
        let folder = place.open(&new);
        drop(place.open(&old));
        (folder.path().to_owned(), folder.path().join("lib/data"))
    };
    assert_eq!(place.entries().len(), 2);
    unseal(&path).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    fs::write(&file, "tampered").unwrap();
    let next = Place {
        store: CodeStore::new(place.folder.path().join("unpacked"), LIMIT_BYTES),
        folder: place.folder,
    };
    let folder = next.open(&new);
    assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    next.store.sweep();
    assert_eq!(next.entries(), std::slice::from_ref(&new.sha256));
    drop(folder);
}
