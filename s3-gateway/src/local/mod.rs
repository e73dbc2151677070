//! Buckets as local folders.
//!
//! ```text
//! inbox/                        the bucket's folder
//!   report.csv  2026/jan.csv    objects: plain files, each with its stamp in an attribute
//!   .daybook/
//!     tmp/                      bodies that are being taken in; emptied at start
//!     keys/<sha256>             objects whose key cannot be a path
//!     versions/<sha256>/<id>    overwritten and removed versions
//!     uploads/<id>/             multipart uploads
//!     meta/                     stamps that do not fit into an attribute
//!     sequence                  a bound on the order of writes
//! ```

pub(crate) mod commit;
pub(crate) mod conditions;
pub(crate) mod durable;
pub(crate) mod key_path;
pub(crate) mod listing;
mod locks;
pub(crate) mod multipart;
pub(crate) mod receive;
pub(crate) mod scan;
mod sequence;
pub(crate) mod stamp;
pub(crate) mod store;
mod versions;
