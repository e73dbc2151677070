//! What proves afterwards what was in the ledger: hash trees and the manifests of exports. Pure:
//! bytes come in as slices and readers, nothing is fetched or kept.

pub mod export;
pub mod merkle;
