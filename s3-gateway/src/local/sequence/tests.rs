use tempfile::TempDir;

use super::super::scan::prepare;
use super::*;

/// What a process opens: its own lock, its own temporary files, its own numbers.
fn process(root: &TempDir) -> Sequence {
    let lock = FolderLock::open(root.path(), true).unwrap();
    let temporaries = Arc::new(Temporaries::open(root.path(), &lock).unwrap());
    Sequence::open(root.path(), temporaries, Some(lock)).unwrap()
}

fn folder() -> TempDir {
    let root = TempDir::new().unwrap();
    prepare(root.path()).unwrap();
    root
}

#[test]
fn numbers_grow_across_processes_that_take_turns() {
    let root = folder();
    let processes = [process(&root), process(&root), process(&root)];
    let mut last = 0;
    for turn in 0..300 {
        let next = processes[turn * 7 % 3].next(0).unwrap();
        assert!(next > last, "{turn}: {next} after {last}");
        last = next;
    }
}

#[test]
fn numbers_are_given_once_however_many_ask_at_the_same_time() {
    let root = folder();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let process = process(&root);
            std::thread::spawn(move || {
                let numbers = (0..200).map(|_| process.next(0).unwrap());
                let numbers: Vec<u64> = numbers.collect();
                assert!(numbers.is_sorted_by(|a, b| a < b));
                numbers
            })
        })
        .collect();
    let mut all: Vec<u64> = threads
        .into_iter()
        .flat_map(|t| t.join().unwrap())
        .collect();
    all.sort_unstable();
    assert!(all.is_sorted_by(|a, b| a < b));
}

/// As if the clock had been set back by an hour since: numbers far ahead of it were given.
#[test]
fn no_process_falls_behind_numbers_that_are_ahead_of_the_clock() {
    let root = folder();
    let (a, b) = (process(&root), process(&root));
    let ahead = now_us() + 3_600_000_000;
    b.next(0).unwrap();
    let first = a.next(ahead).unwrap();
    assert!(first > ahead);
    // One that was running, one that starts while others run, and one that starts after a power
    // failure, which keeps the bound but not the last number.
    assert!(b.next(0).unwrap() > first);
    let second = process(&root).next(0).unwrap();
    assert!(second > first);
    drop((a, b));
    fs::write(root.path().join(private("sequence.last")), "\0\0").unwrap();
    assert!(process(&root).next(0).unwrap() > second);
}

#[test]
fn a_number_is_below_the_bound_that_is_on_disk() {
    let root = folder();
    let (a, b) = (process(&root), process(&root));
    for process in [&a, &b, &a] {
        let ahead = process.next(0).unwrap() + 2 * RESERVE;
        let next = process.next(ahead).unwrap();
        assert!(next < read_bound(root.path()).unwrap());
    }
}
