//! Integration tests of the whole system.
