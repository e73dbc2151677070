//! Old events in today's form: the chain of upcasters, applied whenever a stored event is read.
//!
//! ```text
//!  log: ("RunStarted", 1, body) ─ RunStarted 1→2 ─ RunStarted 2→RunBegun 3 ─> ("RunBegun", body)
//! ```
//! The log is never rewritten. An event is stored with its name and the version of its shape;
//! [`Event::UPCASTERS`] has one step for each version that was ever written and is not today's, and
//! [`upcast`] applies them until the name and version are those of [`Event::TYPES`]. Everybody who
//! decodes passes here, through [`Event::from_json`].
//!
//! **Blob references.** A top-level field whose JSON is big lies in the blob store, and
//! `{"$blob": …}` in its place. Command services put all of them back before they decode; the
//! projections put back structures, but leave references where payloads are (`input`, `output`,
//! `definition`) and take long texts (`logs`, `cause`, `why`, `reason`) out. So an upcaster may
//! move, rename, add and drop top-level fields, and may change what is inside a structure; a
//! payload or a text it moves as a whole and never looks into. Who renames one of these adds the
//! new name to the lists in `projections/src/decode.rs`.

use serde_json::{Map, Value};

use crate::{DecodeError, Event};

/// The fields of an event's body.
pub(crate) type Fields = Map<String, Value>;

/// One step in the history of an event: from one version of its shape to the next.
#[derive(Clone, Copy, Debug)]
pub struct Upcaster {
    event_type: &'static str,
    from_version: u32,
    next_type: &'static str,
    change: fn(&mut Fields) -> Result<(), String>,
}

impl Upcaster {
    /// Takes an event of this name from this version to the next one. `change` alters the body in
    /// place; it says why if no release can have written such a body.
    pub const fn new(
        event_type: &'static str,
        from_version: u32,
        change: fn(&mut Fields) -> Result<(), String>,
    ) -> Self {
        Self::renaming(event_type, from_version, event_type, change)
    }

    /// The same where the event has another name from the next version on.
    pub const fn renaming(
        event_type: &'static str,
        from_version: u32,
        next_type: &'static str,
        change: fn(&mut Fields) -> Result<(), String>,
    ) -> Self {
        Self {
            event_type,
            from_version,
            next_type,
            change,
        }
    }
}

/// A stored event's name and body in today's form. An event that has it already is only looked
/// up: nothing is copied.
pub(crate) fn upcast<E: Event>(
    event_type: &str,
    schema_version: u32,
    mut body: Value,
) -> Result<(&'static str, Value), DecodeError> {
    let (mut name, mut version) = (event_type, schema_version);
    // Each step raises the version, so the walk is at most as long as the list of steps.
    loop {
        let current = E::TYPES.iter().find(|(current, _)| *current == name);
        if let Some((name, _)) = current.filter(|(_, newest)| *newest == version) {
            return Ok((name, body));
        }
        let step = E::UPCASTERS
            .iter()
            .find(|step| step.event_type == name && step.from_version == version)
            .ok_or_else(|| unknown::<E>(name, version))?;
        let Value::Object(fields) = &mut body else {
            return Err(refused(name, version, "its body is not an object".into()));
        };
        (step.change)(fields).map_err(|why| refused(name, version, why))?;
        (name, version) = (step.next_type, version + 1);
    }
}

/// Why there is no way on from this name and version.
fn unknown<E: Event>(event_type: &str, found: u32) -> DecodeError {
    let current = E::TYPES.iter().filter(|(name, _)| *name == event_type);
    let older = E::UPCASTERS
        .iter()
        .filter(|step| step.event_type == event_type);
    let known = current.map(|(_, version)| *version);
    match known.chain(older.map(|step| step.from_version)).max() {
        None => DecodeError::UnknownType(event_type.to_owned()),
        Some(known) if found > known => DecodeError::TooNew {
            event_type: event_type.to_owned(),
            found,
            known,
        },
        Some(_) => refused(event_type, found, "no release wrote this version".into()),
    }
}

fn refused(event_type: &str, schema_version: u32, why: String) -> DecodeError {
    DecodeError::Upcast {
        event_type: event_type.to_owned(),
        schema_version,
        why,
    }
}

/// What the macro `events!` makes of an optional `= version`.
pub(crate) const fn declared_version(declared: &[u32]) -> u32 {
    match declared {
        [] => 1,
        [version, ..] => *version,
    }
}

/// What the macro `events!` makes of an optional `upcasters: …`.
pub(crate) const fn declared_upcasters(declared: &[&'static [Upcaster]]) -> &'static [Upcaster] {
    match declared {
        [] => &[],
        [upcasters, ..] => upcasters,
    }
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trace;
