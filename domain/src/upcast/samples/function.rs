//! Samples of a function's events.

use super::name;
use crate::function::{FunctionEvent, FunctionRevised, FunctionSettings};

pub(super) fn samples() -> Vec<(&'static str, FunctionEvent)> {
    vec![(
        "full",
        FunctionRevised {
            function: name("uppercase"),
            revision: 2,
            sha256: "5e".repeat(32),
            package_bytes: 1_234,
            settings: FunctionSettings {
                runtime: "nodejs".to_owned(),
                handler: "index.handler".to_owned(),
                timeout_ms: 30_000,
                memory_bytes: 268_435_456,
            },
            actor: "cli:ada".to_owned(),
        }
        .into(),
    )]
}
