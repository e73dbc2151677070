use std::io::Write;

use tempfile::TempDir;

use super::super::file_lock::FolderLock;
use super::super::scan::prepare;
use super::*;

fn temporaries(root: &Path) -> Temporaries {
    let lock = FolderLock::open(root, true).unwrap();
    Temporaries::open(root, &lock).unwrap()
}

/// A bucket's folder with one file of the key `k`, stamped; `padding` bytes make the stamp larger.
fn stamped(padding: usize) -> (TempDir, File, Stamp) {
    let root = TempDir::new().unwrap();
    prepare(root.path()).unwrap();
    let path = root.path().join("k");
    fs::write(&path, "hello").unwrap();
    let file = File::options().read(true).append(true).open(path).unwrap();
    let meta = file.metadata().unwrap();
    let stamp = Stamp {
        key: "k".to_owned(),
        version_id: "1".to_owned(),
        stamp: Uuid::from_u128(7),
        etag: "5d41402abc4b2a76b9719d911017c592".to_owned(),
        size: 5,
        mtime_ns: mtime_ns(&meta),
        sequence: 0x1a,
        event_name: "ObjectCreated:Put".to_owned(),
        place: Place {
            bucket: BucketName::parse("inbox").unwrap(),
            folder: Birth::of(&root.path().metadata().unwrap()),
            file: Birth::of(&meta),
        },
        found: false,
        null_version: true,
        marker: false,
        headers: Headers::default(),
        metadata: BTreeMap::from([("padding".to_owned(), "x".repeat(padding))]),
        tags: BTreeMap::new(),
        upload: None,
        checksums: Checksums::default(),
        produced_by: None,
    };
    let temporaries = temporaries(root.path());
    write(root.path(), &temporaries, &file, &stamp).unwrap();
    (root, file, stamp)
}

/// Larger than any extended attribute can be on Linux (64 KiB).
const TOO_LARGE: usize = 100_000;

fn read_back(root: &TempDir, file: &File) -> Option<Stamp> {
    let meta = file.metadata().unwrap();
    read(root.path(), &key_path::digest("k"), file, &meta)
}

#[test]
fn a_stamp_is_read_back_from_the_attribute_or_from_beside() {
    for (padding, beside) in [(10, 0), (TOO_LARGE, 1)] {
        let (root, file, stamp) = stamped(padding);
        assert_eq!(read_back(&root, &file), Some(stamp));
        let files = fs::read_dir(root.path().join(".daybook/meta"))
            .unwrap()
            .count();
        assert_eq!(files, beside);
    }
}

#[test]
fn a_stamp_says_nothing_about_a_changed_file() {
    for padding in [10, TOO_LARGE] {
        let (root, mut file, stamp) = stamped(padding);
        let later = file.metadata().unwrap().modified().unwrap()
            + std::time::Duration::from_nanos(4_000_000);
        file.set_modified(later).unwrap();
        assert_eq!(read_back(&root, &file), None, "another time");

        file.write_all(b" world").unwrap();
        let mtime = u64::try_from(stamp.mtime_ns).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_nanos(mtime))
            .unwrap();
        assert_eq!(read_back(&root, &file), None, "another size");
    }
}

#[test]
fn a_stamp_says_nothing_about_another_key() {
    let (root, file, _) = stamped(10);
    let meta = file.metadata().unwrap();
    assert_eq!(
        read(root.path(), &key_path::digest("other"), &file, &meta),
        None
    );
}

#[test]
fn the_mark_of_one_version_is_not_that_of_the_next() {
    let (root, file, stamp) = stamped(10);
    let meta = file.metadata().unwrap();
    assert!(!is_recorded(root.path(), &file, &meta, &stamp));
    mark_recorded(root.path(), &file, &stamp).unwrap();
    assert!(is_recorded(root.path(), &file, &meta, &stamp));
    let next = Stamp {
        stamp: Uuid::from_u128(8),
        ..stamp
    };
    assert!(!is_recorded(root.path(), &file, &meta, &next));
}

#[test]
fn a_mark_beside_is_of_its_version_only() {
    // As where there are no attributes, and the inode and time of the file are had again.
    let (root, file, stamp) = stamped(10);
    let meta = file.metadata().unwrap();
    let path = beside(root.path(), RECORDED, &key_path::digest("k"), &meta);
    fs::write(path, stamp.stamp.as_bytes()).unwrap();
    assert!(is_recorded(root.path(), &file, &meta, &stamp));
    let next = Stamp {
        stamp: Uuid::from_u128(8),
        ..stamp
    };
    assert!(!is_recorded(root.path(), &file, &meta, &next));
}

#[test]
fn a_stamp_is_at_its_file_or_in_a_bucket_that_was_moved_as_a_whole() {
    let (root, _, stamp) = stamped(10);
    fs::write(root.path().join("other"), "hello").unwrap();
    let other = Birth::of(&root.path().join("other").metadata().unwrap());
    let place = &stamp.place;
    let at = |change: fn(&mut Place, Birth)| {
        let mut here = place.clone();
        change(&mut here, other);
        stamp.is_at(&here)
    };
    assert!(at(|_, _| {}));
    assert!(!at(|here, other| here.file = other), "a copy");
    assert!(at(|here, other| (here.folder, here.file) = (other, other)));
    assert!(!at(|here, other| {
        here.bucket = BucketName::parse("results").unwrap();
        (here.folder, here.file) = (other, other);
    }));
    let reused = Birth {
        born_ns: Some(1),
        ..place.file
    };
    assert_ne!(reused, place.file, "an inode that is had again");
}

#[test]
fn a_removal_is_pending_until_it_is_recorded_or_taken_back() {
    let (root, file, stamp) = stamped(10);
    let meta = file.metadata().unwrap();
    let removal = Removal {
        sequence: 3,
        event_name: "ObjectRemoved:Delete".to_owned(),
        removed_by: None,
    };
    let pending = || pending_removal(root.path(), &file, &meta, &stamp);
    assert_eq!(pending(), None);
    write_removal(
        root.path(),
        &temporaries(root.path()),
        &file,
        &stamp,
        &removal,
    )
    .unwrap();
    assert_eq!(pending(), Some(removal.clone()));
    clear_removal(root.path(), &file, &stamp);
    assert_eq!(pending(), None);
    write_removal(
        root.path(),
        &temporaries(root.path()),
        &file,
        &stamp,
        &removal,
    )
    .unwrap();
    mark_removal_recorded(root.path(), &file, &stamp).unwrap();
    assert_eq!(pending(), None);
}

#[test]
fn sequencers_compare_as_text() {
    let (.., stamp) = stamped(10);
    assert_eq!(stamp.order().sequencer, "000000000000001a");
}
