//! A file system for SQLite that fails when told to: it passes everything on to the real one and
//! counts the reads, writes, truncations, syncs and openings of files in the folders under test.
//!
//! It becomes SQLite's default in the test's process, so the adapter itself knows nothing of it.

#![allow(
    unsafe_code,
    reason = "SQLite takes a file system as a table of C functions; only tests have it"
)]

use std::ffi::{CStr, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Mutex, Once};

use rusqlite::ffi;

/// What fails in one folder, and how.
#[derive(Default)]
pub(super) struct Plan {
    calls: AtomicU64,
    /// The call that fails, from 1; 0 for none.
    fails_at: AtomicU64,
    /// Whether all calls after it fail too.
    for_good: AtomicBool,
    /// Only writes fail, as they do when the disk is full.
    full: AtomicBool,
    failed: AtomicU64,
    failed_syncs: AtomicU64,
}

impl Plan {
    /// Counts from here on, and fails the k-th call.
    pub(super) fn fail_at(&self, k: u64, for_good: bool) {
        self.calls.store(0, Ordering::SeqCst);
        self.failed.store(0, Ordering::SeqCst);
        self.failed_syncs.store(0, Ordering::SeqCst);
        self.for_good.store(for_good, Ordering::SeqCst);
        self.fails_at.store(k, Ordering::SeqCst);
    }

    /// From the k-th write on there is no space.
    pub(super) fn fill_up_at(&self, k: u64) {
        self.full.store(true, Ordering::SeqCst);
        self.fail_at(k, true);
    }

    /// Everything works again.
    pub(super) fn heal(&self) {
        self.fails_at.store(0, Ordering::SeqCst);
        self.full.store(false, Ordering::SeqCst);
    }

    /// Whether anything failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst) > 0
    }

    /// Whether a sync failed.
    pub(super) fn has_failed_to_sync(&self) -> bool {
        self.failed_syncs.load(Ordering::SeqCst) > 0
    }

    /// Whether this call is to fail.
    fn fails(&self, call: Call) -> bool {
        if self.full.load(Ordering::SeqCst) && call != Call::Write {
            return false;
        }
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let at = self.fails_at.load(Ordering::SeqCst);
        let fails = at > 0 && (number == at || number > at && self.for_good.load(Ordering::SeqCst));
        if fails {
            self.failed.fetch_add(1, Ordering::SeqCst);
            if call == Call::Sync {
                self.failed_syncs.fetch_add(1, Ordering::SeqCst);
            }
        }
        fails
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Open,
    Read,
    Write,
    Truncate,
    Sync,
}

static PLANS: Mutex<Vec<(PathBuf, &'static Plan)>> = Mutex::new(Vec::new());
static REAL: AtomicPtr<ffi::sqlite3_vfs> = AtomicPtr::new(ptr::null_mut());
static INSTALLED: Once = Once::new();

/// The plan for a folder. It lives as long as the process, as SQLite's files may.
pub(super) fn plan_for(folder: &Path) -> &'static Plan {
    INSTALLED.call_once(install);
    let plan: &'static Plan = Box::leak(Box::default());
    PLANS.lock().unwrap().push((folder.to_owned(), plan));
    plan
}

fn install() {
    // SAFETY: the default file system is there as soon as SQLite is initialised, which looking for
    // it does, and for ever. The copy differs in name, size of files and opening alone; its other
    // functions do not look at their first argument, except for the parts that are copied.
    unsafe {
        let real = ffi::sqlite3_vfs_find(ptr::null());
        REAL.store(real, Ordering::SeqCst);
        let mut faulty = *real;
        faulty.pNext = ptr::null_mut();
        faulty.zName = c"faulty".as_ptr();
        faulty.szOsFile += size_of::<File>() as c_int;
        faulty.xOpen = Some(open);
        let result = ffi::sqlite3_vfs_register(Box::leak(Box::new(faulty)), 1);
        assert_eq!(result, ffi::SQLITE_OK);
    }
}

/// A file of ours; the real one's memory follows it.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    plan: Option<&'static Plan>,
}

impl File {
    fn fails(&self, call: Call) -> bool {
        self.plan.is_some_and(|plan| plan.fails(call))
    }
}

/// The file of ours and the real one behind it.
///
/// # Safety
/// `file` has to come from SQLite, with the room that the registered file system asked for.
unsafe fn both<'a>(file: *mut ffi::sqlite3_file) -> (&'a File, *mut ffi::sqlite3_file) {
    // SAFETY: SQLite gives out `szOsFile` bytes, which is a `File` and a real file, aligned to 8;
    // `open` has filled in the first.
    unsafe {
        let own = file.cast::<File>();
        (&*own, own.add(1).cast())
    }
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite calls this with memory as described at `both`; the name is null or ends with
    // a zero.
    unsafe {
        let path = (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned());
        let plan = path.and_then(|path| {
            let plans = PLANS.lock().unwrap();
            let found = plans
                .iter()
                .find(|(folder, _)| Path::new(&path).starts_with(folder));
            found.map(|(_, plan)| *plan)
        });
        let own = file.cast::<File>();
        own.write(File {
            base: ffi::sqlite3_file {
                pMethods: ptr::null(),
            },
            plan,
        });
        if (*own).fails(Call::Open) {
            return ffi::SQLITE_CANTOPEN;
        }
        let real = REAL.load(Ordering::SeqCst);
        let opened: *mut ffi::sqlite3_file = own.add(1).cast();
        (*opened).pMethods = ptr::null();
        let result = (*real).xOpen.unwrap()(real, name, opened, flags, flags_out);
        if !(*opened).pMethods.is_null() {
            (*own).base.pMethods = &METHODS;
        }
        result
    }
}

/// Defines functions that pass their arguments on to the real file.
macro_rules! pass_on {
    ($($name:ident => $method:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)+) => {$(
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file, $($argument: $type),*) $(-> $result)? {
            // SAFETY: SQLite calls this with a file that `open` has opened, and with arguments
            // that are right for the real file too.
            unsafe {
                let (_, real) = both(file);
                (*(*real).pMethods).$method.unwrap()(real, $($argument),*)
            }
        }
    )+};
}

pass_on! {
    close => xClose() -> c_int;
    file_size => xFileSize(size: *mut i64) -> c_int;
    lock => xLock(level: c_int) -> c_int;
    unlock => xUnlock(level: c_int) -> c_int;
    check_reserved_lock => xCheckReservedLock(out: *mut c_int) -> c_int;
    file_control => xFileControl(op: c_int, argument: *mut c_void) -> c_int;
    sector_size => xSectorSize() -> c_int;
    device_characteristics => xDeviceCharacteristics() -> c_int;
    shm_map => xShmMap(page: c_int, size: c_int, extend: c_int, out: *mut *mut c_void) -> c_int;
    shm_lock => xShmLock(offset: c_int, count: c_int, flags: c_int) -> c_int;
    shm_barrier => xShmBarrier();
    shm_unmap => xShmUnmap(delete: c_int) -> c_int;
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    to: *mut c_void,
    count: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: as in `pass_on`.
    unsafe {
        let (own, real) = both(file);
        if own.fails(Call::Read) {
            return ffi::SQLITE_IOERR_READ;
        }
        (*(*real).pMethods).xRead.unwrap()(real, to, count, offset)
    }
}

/// One that fails has written half of it.
unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    count: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: as in `pass_on`; half of what may be read may be read.
    unsafe {
        let (own, real) = both(file);
        let write = (*(*real).pMethods).xWrite.unwrap();
        if !own.fails(Call::Write) {
            return write(real, from, count, offset);
        }
        write(real, from, count / 2, offset);
        let full = own
            .plan
            .is_some_and(|plan| plan.full.load(Ordering::SeqCst));
        if full {
            ffi::SQLITE_FULL
        } else {
            ffi::SQLITE_IOERR_WRITE
        }
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: as in `pass_on`.
    unsafe {
        let (own, real) = both(file);
        if own.fails(Call::Truncate) {
            return ffi::SQLITE_IOERR_TRUNCATE;
        }
        (*(*real).pMethods).xTruncate.unwrap()(real, size)
    }
}

/// One that does not fail is not made either: nobody pulls the plug here, and it takes time.
unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: as in `pass_on`.
    unsafe {
        let (own, real) = both(file);
        if own.fails(Call::Sync) {
            return ffi::SQLITE_IOERR_FSYNC;
        }
        match own.plan {
            Some(_) => ffi::SQLITE_OK,
            None => (*(*real).pMethods).xSync.unwrap()(real, flags),
        }
    }
}

/// Version 2: no memory maps, whose faults would be signals.
static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};
