//! The Merkle tree hash of RFC 6962, section 2.1, computed as leaves come in.
//!
//! A leaf is hashed after a byte 0x00 and a node after a byte 0x01, so that no leaf can be passed
//! off as a node.

use sha2::{Digest, Sha256};

/// A SHA-256.
pub type Hash = [u8; 32];

/// Takes leaves in order and knows the root at any time, in memory of the logarithm of their
/// number.
#[derive(Clone, Debug, Default)]
pub struct TreeHasher {
    leaves: u64,
    /// The roots of the complete subtrees that the leaves so far fall into, the greatest first:
    /// one for each bit that is set in their number.
    roots: Vec<Hash>,
}

impl TreeHasher {
    /// A tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many leaves it has.
    pub fn leaves(&self) -> u64 {
        self.leaves
    }

    /// Adds the content of the next leaf.
    pub fn push(&mut self, leaf: &[u8]) {
        let mut hash = leaf_hash(leaf);
        // Adding one carries through the trailing bits that are set.
        for _ in 0..self.leaves.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.roots.push(hash);
        self.leaves += 1;
    }

    /// The root over all leaves so far; that of no leaves is the hash of nothing.
    pub fn root(&self) -> Hash {
        let mut roots = self.roots.iter().rev();
        match roots.next() {
            None => Sha256::digest([]).into(),
            Some(smallest) => roots.fold(*smallest, |right, left| node_hash(left, &right)),
        }
    }
}

/// The hash of a leaf.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update([0]);
    hash.update(leaf);
    hash.finalize().into()
}

/// The hash of the node above two others.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut hash = Sha256::new();
    hash.update([1]);
    hash.update(left);
    hash.update(right);
    hash.finalize().into()
}

#[cfg(test)]
mod tests;
