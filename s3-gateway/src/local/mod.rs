//! Buckets as local folders.
//!
//! ```text
//! inbox/                        the bucket's folder
//!   report.csv  2026/jan.csv    objects: plain files, each with its stamp in an attribute
//!   .daybook/
//!     tmp/<id>/                 bodies that a process is taking in; removed after its end
//!     keys/<sha256>             objects whose key cannot be a path
//!     versions/<sha256>/<id>    overwritten and removed versions, delete markers
//!     bucket.json               what is set over the API: versioning
//!     uploads/<id>/             multipart uploads
//!     staged/<attempt>/         what an attempt wrote that is published on its success
//!     meta/                     stamps and lists of parts that do not fit into an attribute
//!     index.sqlite              what keys there are; derived from the files, may be deleted
//!     journal/                  small new objects that may not have reached the disk by themselves
//!     sequence                  a bound on the order of writes
//!     sequence.last             the last number in it, where processes share the folder
//!     lock                      its byte ranges are the locks between processes
//! ```
//!
//! Several processes may serve one folder at the same time (`docs/adr/0010`), and each of them may
//! end at any moment. What holds:
//!
//! - Nothing about an object is true in memory only: what a process remembers of a folder is
//!   either its own or cannot change.
//! - Who changes a key, or proposes it to the ledger, has it locked against all tasks of all
//!   processes from looking at what is there to the mark that says it is recorded. So whoever
//!   gets the lock finds everything recorded, or a writer that died.
//! - Numbers in the order of writes grow along the order in which a key is written, across
//!   processes and clocks that are set back.
//! - What a process left unfinished is known by a lock that only its end releases, and is
//!   touched only then.
//! - Reading takes no lock, except to stamp a file from outside.

pub(crate) mod commit;
pub(crate) mod conditions;
mod dir_syncs;
pub(crate) mod durable;
mod empty;
pub(crate) mod file_lock;
mod fill;
mod hidden;
pub(crate) mod index;
pub(crate) mod journal;
pub(crate) mod key_path;
pub(crate) mod listing;
pub(crate) mod listing_versions;
mod locks;
mod markers;
mod md5_sum;
pub(crate) mod multipart;
pub(crate) mod overlay;
pub(crate) mod parts;
#[cfg(feature = "planting")]
pub(crate) mod planting;
pub(crate) mod receive;
pub(crate) mod removing;
mod removing_versions;
pub(crate) mod scan;
mod sequence;
pub(crate) mod settings;
mod shadow;
pub(crate) mod staged;
pub(crate) mod stamp;
pub(crate) mod store;
mod survey;
mod tagging;
pub(crate) mod temporaries;
mod vanished;
mod versions;
