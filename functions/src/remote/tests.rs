//! Remote functions through the host, against servers of the test.

use super::*;
