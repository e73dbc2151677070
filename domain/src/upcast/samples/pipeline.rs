//! Samples of a pipeline's events.

use serde_json::json;

use super::name;
use crate::pipeline::{
    PipelineEvent, PipelinePaused, PipelineResumed, PipelineRetired, PipelineRevised, Trigger,
};

pub(super) fn samples() -> Vec<(&'static str, PipelineEvent)> {
    let actor = || "cli:ada".to_owned();
    let revised = |triggers| PipelineRevised {
        pipeline: name("uppercase"),
        revision: 3,
        sha256: "ab".repeat(32),
        definition: json!({ "StartAt": "Run", "States": { "Run": { "Type": "Task", "End": true } } }),
        triggers,
        actor: actor(),
    };
    let trigger = Trigger {
        bucket: name("inbox"),
        prefix: Some("a/".to_owned()),
        suffix: Some(".txt".to_owned()),
    };
    let bare = Trigger {
        bucket: name("inbox"),
        prefix: None,
        suffix: None,
    };
    vec![
        ("full", revised(vec![trigger]).into()),
        ("bare", revised(vec![bare]).into()),
        ("full", PipelinePaused { actor: actor() }.into()),
        ("full", PipelineResumed { actor: actor() }.into()),
        ("full", PipelineRetired { actor: actor() }.into()),
    ]
}
