//! The one integration test binary. Each module tests one promise of the whole system through its
//! outer interfaces; what is inside a crate is tested there.

mod layering;
