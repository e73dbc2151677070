//! What the projections must hold.
