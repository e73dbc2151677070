//! A key that seems to differ is looked at once more, alone: a write that landed while the bucket
//! was listed, or that is on its way into the ledger, is no difference. What stays one is recorded,
//! unless it is a dry run.
//!
//! The bucket is read between two reads of the ledger that agree. Whoever writes through this gateway
//! has the key locked until the ledger has the write, and that lock is taken to look; what others
//! write to another store is waited for before ([`super::ReconcileLimits::grace`]).

use daybook_domain::reconcile::{Counts, Finding, FindingKind, ReconcileStarted};
use daybook_domain::stored_object::{
    Channel, Difference, ListedVersion, ObjectCommand, ObjectEvent, ObjectState, ObjectVersion,
    RecordCreated, RecordGone, RecordListed, StoredObject, stream_of, takes_key,
};
use daybook_domain::{CommandId, ObjectKey};

use super::known::{all_versions, each_event};
use super::{Problem, Tools};
use crate::clock;
use crate::commands::Origin;

/// What S3 calls the write of a version that nobody told of.
const CREATED: &str = "ObjectCreated:Put";
/// What the ledger calls it when a version is the object again.
const REAPPEARED: &str = "ObjectCreated:Reappeared";
const REMOVED: &str = "ObjectRemoved:Delete";

/// What came of a key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Settled {
    pub counts: Counts,
    pub findings: Vec<Finding>,
}

/// Where the ledger and the bucket differ about a key.
pub(super) struct Compared {
    pub differences: Vec<Difference>,
    /// How many versions the ledger lacks because the bucket's filters take nothing of the key.
    pub filtered: u64,
}

impl Compared {
    /// Of a key that the ledger holds an object of, all has to be as it says. Of others, only those
    /// are missing whose notifications are taken.
    pub(super) fn of(
        asked: &ReconcileStarted,
        key: &ObjectKey,
        state: &ObjectState,
        listed: &[ListedVersion],
        older: &[ObjectVersion],
    ) -> Self {
        let mut differences = state.compare(listed, older);
        let before = differences.len();
        if before > 0 && state.object().is_none() && !takes_key(&asked.filters, key) {
            differences.retain(|it| !matches!(it, Difference::Missing(_)));
        }
        Self {
            filtered: (before - differences.len()) as u64,
            differences,
        }
    }
}

/// Everything that is known of a key at one moment.
struct Look {
    state: ObjectState,
    listed: Vec<ListedVersion>,
    compared: Compared,
}

impl Tools {
    /// Looks at a key, and records what differs. `ours` is whether this reconcile may have recorded
    /// some of it before it was interrupted.
    pub(super) async fn settle(
        &self,
        asked: &ReconcileStarted,
        key: &ObjectKey,
        ours: bool,
    ) -> Result<Settled, Problem> {
        let before = match ours {
            true => self.found_before(asked, key).await?,
            false => Vec::new(),
        };
        for left in (0..self.limits.looks).rev() {
            let Some(look) = self.look(asked, key).await? else {
                // Somebody is writing the file by hand.
                break;
            };
            let same = look.compared.differences.is_empty();
            let recorded = match asked.dry_run || same {
                true => false,
                false => self.record(asked, key, &look).await?,
            };
            if recorded || asked.dry_run || same || left == 0 {
                return Ok(Settled::of(&look, key, recorded, before));
            }
        }
        Ok(Settled::unsettled(key, before))
    }

    /// The bucket between two looks at the ledger that agree.
    async fn look(
        &self,
        asked: &ReconcileStarted,
        key: &ObjectKey,
    ) -> Result<Option<Look>, Problem> {
        let mut state = self.state(asked, key).await?;
        let mut looks = 0;
        loop {
            let Some(listed) = self.buckets.look_at(&asked.bucket, key).await? else {
                return Ok(None);
            };
            let after = self.state(asked, key).await?;
            looks += 1;
            // One that is written to without end is compared as it is.
            if after == state || looks == self.limits.looks {
                let older = match after.has_forgotten() {
                    true => all_versions(&self.ledger, &asked.bucket, key).await?,
                    false => Vec::new(),
                };
                let compared = Compared::of(asked, key, &after, &listed, &older);
                return Ok(Some(Look {
                    state: after,
                    listed,
                    compared,
                }));
            }
            state = after;
        }
    }

    async fn state(
        &self,
        asked: &ReconcileStarted,
        key: &ObjectKey,
    ) -> Result<ObjectState, Problem> {
        let object = self
            .ledger
            .load::<StoredObject>(&stream_of(&asked.bucket, key))
            .await
            .map_err(Problem::command)?;
        Ok(object.unwrap_or_default().state)
    }

    /// Records the differences, the oldest version first. Returns whether all were: if not, the key
    /// changed meanwhile.
    async fn record(
        &self,
        asked: &ReconcileStarted,
        key: &ObjectKey,
        look: &Look,
    ) -> Result<bool, Problem> {
        let mut newest = look.state.object().cloned();
        for difference in look.compared.differences.iter().rev() {
            let command = match *difference {
                Difference::Missing(place) | Difference::Changed(place) => {
                    let listed = &look.listed[place];
                    let Some(created) = self.created(asked, key, listed).await? else {
                        return Ok(false);
                    };
                    if look.state.has_recorded(&created.version) {
                        // Its stamp, which no listing shows, is one that is on record.
                        continue;
                    }
                    let listing = RecordListed {
                        latest: listed.latest,
                        newest: newest.clone(),
                        created,
                    };
                    if listed.latest {
                        newest = Some(listing.created.version.clone());
                    }
                    ObjectCommand::RecordListed(listing)
                }
                Difference::Returned(place)
                | Difference::Replaced(place)
                | Difference::Reordered(place) => {
                    let listed = &look.listed[place];
                    let Some(created) = self.created(asked, key, listed).await? else {
                        return Ok(false);
                    };
                    // What the ledger held for the object went first, if it is not there.
                    let replaces = matches!(difference, Difference::Replaced(_));
                    if let Some(gone) = newest.take().filter(|_| replaces)
                        && !self
                            .record_one(asked, key, gone_of(asked, key, gone))
                            .await?
                    {
                        return Ok(false);
                    }
                    newest = Some(created.version.clone());
                    ObjectCommand::RecordReappeared(RecordCreated {
                        event_name: REAPPEARED.to_owned(),
                        ..created
                    })
                }
                Difference::Gone => match newest.take() {
                    Some(newest) => gone_of(asked, key, newest),
                    None => continue,
                },
            };
            if !self.record_one(asked, key, command).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What there is to record of a listed version; `None` if it is gone since.
    async fn created(
        &self,
        asked: &ReconcileStarted,
        key: &ObjectKey,
        listed: &ListedVersion,
    ) -> Result<Option<RecordCreated>, Problem> {
        let described = self.buckets.describe(&asked.bucket, key, listed).await?;
        let Some(described) = described else {
            return Ok(None);
        };
        let same = described.version.version_id == listed.version.version_id
            && described.version.etag == listed.version.etag;
        Ok(same.then(|| RecordCreated {
            bucket: asked.bucket.clone(),
            key: key.clone(),
            version: ObjectVersion {
                // A listing may be more exact about the time than a head.
                modified_at: listed.version.modified_at.or(described.version.modified_at),
                ..described.version
            },
            channel: Channel::Listing,
            event_name: described.event_name.unwrap_or_else(|| CREATED.to_owned()),
            order: described.order.or_else(|| listed.order.clone()),
            produced_by: described.produced_by,
        }))
    }

    /// Returns whether anything was recorded.
    async fn record_one(
        &self,
        asked: &ReconcileStarted,
        key: &ObjectKey,
        command: ObjectCommand,
    ) -> Result<bool, Problem> {
        let id = asked.reconcile;
        let command_id = CommandId(clock::random_id());
        let origin = Origin {
            command: command_id,
            // Each write is a story of its own, also where one reconcile found several.
            correlation: command_id.to_string(),
            causation: Some(id.to_string()),
            actor: format!("reconcile:{id}"),
            traceparent: None,
        };
        let stream = stream_of(&asked.bucket, key);
        let executed = self.execute::<StoredObject>(stream, command, origin).await;
        let executed = executed.map_err(Problem::command)?;
        Ok(!executed.events.is_empty())
    }

    /// What this reconcile has recorded of a key already, the oldest first.
    async fn found_before(
        &self,
        asked: &ReconcileStarted,
        key: &ObjectKey,
    ) -> Result<Vec<Before>, Problem> {
        let id = asked.reconcile.to_string();
        let mut found: Vec<Before> = Vec::new();
        each_event(&self.ledger, &asked.bucket, key, |event| {
            let (state, version, created) = match event.event {
                ObjectEvent::ObjectCreated(it) => (it.state, it.version, Some(it.older)),
                ObjectEvent::ObjectRemoved(it) => (it.state, it.version, None),
                ObjectEvent::NotificationDisregarded(it) => (it.state, it.version, None),
            };
            // The newest comes first: this is what the one before has found.
            if let Some(after) = found.last_mut() {
                after.replaced = state.object().cloned();
            }
            let ours = event.recorded.metadata.causation_id.as_deref() == Some(&id);
            if ours {
                found.push(Before {
                    version,
                    created,
                    replaced: None,
                });
            }
            ours
        })
        .await?;
        found.reverse();
        Ok(found)
    }
}

fn gone_of(asked: &ReconcileStarted, key: &ObjectKey, newest: ObjectVersion) -> ObjectCommand {
    ObjectCommand::RecordGone(RecordGone {
        bucket: asked.bucket.clone(),
        key: key.clone(),
        newest,
        event_name: REMOVED.to_owned(),
    })
}

/// What was recorded before an interruption.
struct Before {
    version: ObjectVersion,
    /// `None` for a removal; whether it is an older version.
    created: Option<bool>,
    /// What the ledger had for the object until then.
    replaced: Option<ObjectVersion>,
}

impl Before {
    fn finding(self, key: &ObjectKey, listed: &[ListedVersion]) -> Finding {
        let replaced_another = self.replaced.is_some_and(|replaced| {
            let mut listed = listed.iter();
            !listed.any(|listed| replaced.is_listed_as(&listed.version, true))
        });
        Finding {
            kind: match self.created {
                None => FindingKind::Gone,
                Some(false) if replaced_another => FindingKind::Changed,
                Some(_) => FindingKind::Missing,
            },
            key: key.clone(),
            version: self.version,
            recorded: true,
        }
    }
}

impl Settled {
    fn of(look: &Look, key: &ObjectKey, recorded: bool, before: Vec<Before>) -> Self {
        let before = before.into_iter();
        let mut findings: Vec<Finding> = before
            .map(|before| before.finding(key, &look.listed))
            .collect();
        let differences = look.compared.differences.iter();
        findings.extend(differences.filter_map(|it| finding(look, key, *it, recorded)));
        let there = !look.listed.is_empty() || look.state.object().is_some();
        let versions = look.listed.len() as u64;
        let mut counts = counted(&findings);
        counts.filtered = look.compared.filtered;
        counts.keys = u64::from(there || counts.gone > 0);
        counts.versions = versions;
        let others = counts.missing + counts.changed + counts.filtered;
        counts.accounted = versions.saturating_sub(others);
        Self { counts, findings }
    }

    /// A key that somebody was writing whenever it was looked at.
    fn unsettled(key: &ObjectKey, before: Vec<Before>) -> Self {
        let before = before.into_iter();
        let mut findings: Vec<Finding> = before.map(|it| it.finding(key, &[])).collect();
        findings.push(Finding {
            kind: FindingKind::Unsettled,
            key: key.clone(),
            version: ObjectVersion::default(),
            recorded: false,
        });
        let mut counts = counted(&findings);
        counts.keys = 1;
        counts.versions = counts.missing + counts.changed;
        Self { counts, findings }
    }
}

fn counted(findings: &[Finding]) -> Counts {
    let mut counts = Counts::default();
    for finding in findings {
        match finding.kind {
            FindingKind::Missing => counts.missing += 1,
            FindingKind::Gone => counts.gone += 1,
            FindingKind::Changed => counts.changed += 1,
            FindingKind::Unsettled => counts.unsettled += 1,
        }
        counts.recorded += u64::from(finding.recorded);
    }
    counts
}

fn finding(
    look: &Look,
    key: &ObjectKey,
    difference: Difference,
    recorded: bool,
) -> Option<Finding> {
    let (kind, version) = match difference {
        Difference::Missing(place) | Difference::Returned(place) => {
            (FindingKind::Missing, &look.listed[place].version)
        }
        Difference::Changed(place) | Difference::Replaced(place) | Difference::Reordered(place) => {
            (FindingKind::Changed, &look.listed[place].version)
        }
        Difference::Gone => (FindingKind::Gone, look.state.object()?),
    };
    Some(Finding {
        kind,
        key: key.clone(),
        version: version.clone(),
        recorded,
    })
}
