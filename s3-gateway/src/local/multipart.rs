//! Multipart uploads on disk.
