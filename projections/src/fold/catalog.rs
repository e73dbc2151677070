//! Pipelines, functions, replays and exports; and which pipelines want an object.

use std::collections::BTreeMap;

use daybook_domain::export::ExportEvent;
use daybook_domain::function::FunctionEvent;
use daybook_domain::pipeline::{Pipeline, PipelineEvent, PipelineRevised, Revision};
use daybook_domain::replay::{ReplayEvent, ReplayPhase};
use daybook_domain::{Aggregate, BucketName, ObjectKey};
use daybook_event_store::RecordedEvent;
use rusqlite::{Transaction, params};
use serde_json::Value;

use super::{Fold, Folded, at, int, pos};

/// The pipelines as they are at this place in the log.
pub(super) struct Wanters(BTreeMap<String, Pipeline>);

impl Wanters {
    pub(super) fn load(tx: &Transaction<'_>) -> Folded<Self> {
        let mut statement = tx.prepare_cached(
            "SELECT name, revision, sha256, triggers, paused, retired FROM pipelines",
        )?;
        let rows = statement.query_map([], |row| {
            let triggers: String = row.get(3)?;
            let pipeline = Pipeline {
                current: Some(Revision {
                    revision: row.get(1)?,
                    sha256: row.get(2)?,
                    // Which objects it wants does not depend on what it runs.
                    definition: Value::Null,
                    triggers: serde_json::from_str(&triggers).unwrap_or_default(),
                }),
                paused: row.get(4)?,
                retired: row.get(5)?,
            };
            Ok((row.get(0)?, pipeline))
        })?;
        rows.collect::<Folded<_>>().map(Self)
    }

    /// The names of the pipelines that want an object now.
    pub(super) fn of(&self, bucket: &BucketName, key: &ObjectKey) -> Vec<String> {
        self.0
            .iter()
            .filter(|(_, pipeline)| pipeline.wants(bucket, key).is_some())
            .map(|(name, _)| name.clone())
            .collect()
    }

    fn evolve(&mut self, name: &str, event: &PipelineEvent) {
        let before = self.0.remove(name).unwrap_or_default();
        self.0.insert(name.to_owned(), before.evolve(event));
    }
}

impl Fold<'_> {
    pub(super) fn pipeline(
        &mut self,
        recorded: &RecordedEvent,
        event: &PipelineEvent,
    ) -> Folded<()> {
        let name = name_in(recorded);
        self.wanters.evolve(name, event);
        let set = match event {
            PipelineEvent::PipelineRevised(event) => return self.revised(recorded, event),
            PipelineEvent::PipelinePaused(_) => "UPDATE pipelines SET paused = 1 WHERE name = ?1",
            PipelineEvent::PipelineResumed(_) => "UPDATE pipelines SET paused = 0 WHERE name = ?1",
            PipelineEvent::PipelineRetired(_) => "UPDATE pipelines SET retired = 1 WHERE name = ?1",
        };
        self.run(set, [name]).map(|_| ())
    }

    fn revised(&mut self, recorded: &RecordedEvent, event: &PipelineRevised) -> Folded<()> {
        let triggers = serde_json::to_value(&event.triggers).unwrap_or_default();
        self.run(
            "INSERT INTO pipelines VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0, ?7, ?8)
             ON CONFLICT (name) DO UPDATE SET revision = ?3, sha256 = ?4, definition = ?5,
               triggers = ?6, retired = 0, actor = ?7, revised_at = ?8",
            params![
                event.pipeline.as_str(),
                pos(recorded),
                event.revision,
                event.sha256,
                event.definition.to_string(),
                triggers.to_string(),
                event.actor,
                at(recorded),
            ],
        )?;
        self.run(
            "INSERT INTO pipeline_revisions VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                event.pipeline.as_str(),
                pos(recorded),
                event.revision,
                event.sha256,
                event.actor,
                at(recorded),
            ],
        )
        .map(|_| ())
    }

    pub(super) fn function(
        &mut self,
        recorded: &RecordedEvent,
        event: &FunctionEvent,
    ) -> Folded<()> {
        let FunctionEvent::FunctionRevised(event) = event;
        let settings = &event.settings;
        self.run(
            "INSERT INTO functions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (name) DO UPDATE SET revision = ?3, sha256 = ?4, package_bytes = ?5,
               runtime = ?6, handler = ?7, timeout_ms = ?8, memory_bytes = ?9, actor = ?10,
               revised_at = ?11",
            params![
                event.function.as_str(),
                pos(recorded),
                event.revision,
                event.sha256,
                int(event.package_bytes),
                settings.runtime,
                settings.handler,
                int(settings.timeout_ms),
                int(settings.memory_bytes),
                event.actor,
                at(recorded),
            ],
        )?;
        self.run(
            "INSERT INTO function_revisions VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                event.function.as_str(),
                pos(recorded),
                event.revision,
                event.sha256,
                event.actor,
                at(recorded),
            ],
        )
        .map(|_| ())
    }

    pub(super) fn replay(&mut self, recorded: &RecordedEvent, event: &ReplayEvent) -> Folded<()> {
        let id = name_in(recorded);
        match event {
            ReplayEvent::ReplayStarted(event) => {
                let selection = serde_json::to_value(&event.selection).unwrap_or_default();
                self.run(
                    "INSERT INTO replays VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?8, ?9, ?10, NULL)",
                    params![
                        event.replay.to_string(),
                        pos(recorded),
                        event.selection.pipeline.as_str(),
                        selection.to_string(),
                        int(event.position),
                        int(event.plan.len() as u64),
                        ReplayPhase::Running.as_str(),
                        event.actor,
                        event.reason,
                        at(recorded),
                    ],
                )
            }
            ReplayEvent::ReplayProgressed(event) => self.run(
                "UPDATE replays SET done = ?2 WHERE id = ?1",
                params![id, int(event.done)],
            ),
            ReplayEvent::ReplayCompleted(_) => {
                self.replay_stopped(recorded, ReplayPhase::Completed)
            }
            ReplayEvent::ReplayCancelled(_) => {
                self.replay_stopped(recorded, ReplayPhase::Cancelled)
            }
        }
        .map(|_| ())
    }

    fn replay_stopped(&self, recorded: &RecordedEvent, phase: ReplayPhase) -> Folded<usize> {
        self.run(
            "UPDATE replays SET phase = ?2, stopped_at = ?3 WHERE id = ?1",
            params![name_in(recorded), phase.as_str(), at(recorded)],
        )
    }

    pub(super) fn export(&mut self, recorded: &RecordedEvent, event: &ExportEvent) -> Folded<()> {
        match event {
            ExportEvent::ExportStarted(event) => {
                let range = serde_json::to_value(&event.range).unwrap_or_default();
                self.run(
                    "INSERT INTO exports VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, NULL, NULL, NULL)",
                    params![
                        event.export.to_string(),
                        pos(recorded),
                        range.to_string(),
                        event.format,
                        event.actor,
                        event.reason,
                        at(recorded),
                    ],
                )
            }
            ExportEvent::ExportCompleted(event) => self.run(
                "UPDATE exports SET completed_at = ?2, events = ?3, sha256 = ?4 WHERE id = ?1",
                params![
                    name_in(recorded),
                    at(recorded),
                    int(event.events),
                    event.sha256
                ],
            ),
        }
        .map(|_| ())
    }
}

/// What a stream's name says after its kind.
pub(super) fn name_in(recorded: &RecordedEvent) -> &str {
    let stream = recorded.stream.as_str();
    stream.split_once('-').map_or(stream, |(_, name)| name)
}
