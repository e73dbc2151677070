//! The MD5 of a body, which its ETag is. It is the slowest part of taking in a large one and cannot
//! be divided, so it gets a thread of its own as soon as that pays; receiving and writing go on
//! beside it, a few batches ahead at most.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use bytes::Bytes;
use md5::{Digest, Md5};

/// From how many bytes at once on a thread of its own is worth it.
const APART_BYTES: usize = 256 << 10;
/// How many batches may wait for the thread.
const WAITING: usize = 2;

/// An MD5 in the making.
pub(super) enum Md5Sum {
    /// Computed where the bytes are given.
    Here(Md5),
    /// Computed on its own thread.
    Apart {
        batches: SyncSender<Vec<Bytes>>,
        thread: JoinHandle<Md5>,
    },
    /// Not wanted: the ETag does not come from the bytes.
    Unwanted,
}

impl Md5Sum {
    /// Of nothing yet.
    pub(super) fn new() -> Self {
        Self::Here(Md5::new())
    }

    /// Takes in the next bytes.
    pub(super) fn update(&mut self, batch: &[Bytes]) -> io::Result<()> {
        let length: usize = batch.iter().map(Bytes::len).sum();
        if length >= APART_BYTES {
            self.move_apart()?;
        }
        match self {
            Self::Here(md5) => batch.iter().for_each(|chunk| md5.update(chunk)),
            // It is gone only if it panicked, which the end will tell.
            Self::Apart { batches, .. } => drop(batches.send(batch.to_vec())),
            Self::Unwanted => {}
        }
        Ok(())
    }

    /// The same with bytes that have to be copied, if they go to another thread.
    pub(super) fn update_with(&mut self, chunk: &[u8]) {
        match self {
            Self::Here(md5) => md5.update(chunk),
            Self::Apart { batches, .. } => {
                drop(batches.send(vec![Bytes::copy_from_slice(chunk)]));
            }
            Self::Unwanted => {}
        }
    }

    fn move_apart(&mut self) -> io::Result<()> {
        let Self::Here(md5) = self else {
            return Ok(());
        };
        let mut md5 = std::mem::take(md5);
        let (batches, waiting) = sync_channel::<Vec<Bytes>>(WAITING);
        let thread = Builder::new().name("md5".to_owned()).spawn(move || {
            for batch in waiting {
                batch.iter().for_each(|chunk| md5.update(chunk));
            }
            md5
        })?;
        *self = Self::Apart { batches, thread };
        Ok(())
    }

    /// The sum; of zeros where it is not wanted.
    pub(super) fn finish(self) -> io::Result<[u8; 16]> {
        let md5 = match self {
            Self::Here(md5) => md5,
            Self::Apart { batches, thread } => {
                drop(batches);
                let ended = thread.join();
                ended.map_err(|_| io::Error::other("the MD5 could not be computed"))?
            }
            Self::Unwanted => return Ok([0; 16]),
        };
        Ok(md5.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a body in batches of these sizes and compares with the sum of the whole.
    fn check(sizes: &[usize]) {
        let mut sum = Md5Sum::new();
        let mut whole = Vec::new();
        for (number, size) in sizes.iter().enumerate() {
            let chunk = vec![number as u8; *size];
            whole.extend_from_slice(&chunk);
            let (a, b) = chunk.split_at(size / 3);
            let batch = [a, b].map(Bytes::copy_from_slice);
            if number % 3 == 2 {
                sum.update_with(&chunk);
            } else {
                sum.update(&batch).unwrap();
            }
        }
        let expect: [u8; 16] = Md5::digest(&whole).into();
        assert_eq!(sum.finish().unwrap(), expect, "{sizes:?}");
    }

    #[test]
    fn it_is_that_of_the_whole_wherever_it_is_computed() {
        check(&[]);
        check(&[0, 1, 2]);
        check(&[1_000, 70_000, 5]);
        check(&[APART_BYTES, 0, 1, APART_BYTES - 1, 3 * APART_BYTES]);
        check(&[1, APART_BYTES * 4, 7, APART_BYTES, 9, 9, 9, 9]);
    }

    #[test]
    fn where_it_is_not_wanted_nothing_is_computed() {
        let mut sum = Md5Sum::Unwanted;
        sum.update(&[Bytes::from(vec![1; APART_BYTES])]).unwrap();
        assert!(matches!(sum, Md5Sum::Unwanted));
        assert_eq!(sum.finish().unwrap(), [0; 16]);
    }
}
