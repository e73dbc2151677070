//! The one integration test binary. Each module tests one promise of the whole system through its
//! outer interfaces; what is inside a crate is tested there.

#![expect(
    clippy::print_stdout,
    reason = "tests print what helps to understand a failure"
)]

mod layering;
mod support;
