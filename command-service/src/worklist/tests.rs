//! Given events, then what is due.
