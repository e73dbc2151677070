//! What the query side must hold.

mod schema;
