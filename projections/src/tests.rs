//! What the projections must hold.

mod as_of;
mod fold;
mod paging;
mod projector;
pub(crate) mod story;
