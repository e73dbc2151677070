//! Moving the big fields of an event's body into the blob store and back.
//!
//! A field that was moved is replaced by `{"$blob": {"sha256": …, "size": …}}`. A field that came
//! looking like that is moved, too, whatever its size; so every reference in a stored body was
//! written here, and nobody can have the store read for him by sending one.
//!
//! Fields that are kept for a time only are said to be so in their reference. Their content begins
//! with a line break and white space, which mean nothing in JSON and spell the event's id: no other
//! field has their name, so that removing one takes nothing from others.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{BlobError, BlobRef, BlobStore};

/// Fields whose JSON is longer than this go to the blob store.
pub const INLINE_LIMIT_BYTES: usize = 16 * 1024;

/// What stands in the place of a field whose time is over.
pub const REMOVED: &str = "[removed: it was kept for a time only, and that is over]";

/// The fields of an event that are kept for a time only.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    /// Their names.
    pub fields: &'a [&'a str],
    /// The event's id.
    pub event: Uuid,
}

impl Passing<'_> {
    /// What their content begins with.
    fn prefix(&self) -> Vec<u8> {
        let bits = self.event.as_u128();
        let spelt = (0..u128::BITS).map(|bit| match bits >> bit & 1 {
            0 => b' ',
            _ => b'\t',
        });
        std::iter::once(b'\n').chain(spelt).collect()
    }
}

/// The only key of a reference.
const BLOB: &str = "$blob";

impl BlobStore {
    /// The body with its big fields (of the top level) moved into the store; texts among those in
    /// `passing` are kept for a time only. When it returns, they are on disk. A body that is not an
    /// object is left as it is.
    pub async fn offload(
        &self,
        body: Value,
        passing: Option<Passing<'_>>,
    ) -> Result<Value, BlobError> {
        let Value::Object(mut fields) = body else {
            return Ok(body);
        };
        for (name, field) in &mut fields {
            let mut json = json(field)?;
            if json.len() > INLINE_LIMIT_BYTES || referred(field).is_some() {
                let passing =
                    passing.filter(|it| field.is_string() && it.fields.contains(&name.as_str()));
                if let Some(passing) = passing {
                    json = [passing.prefix(), json].concat();
                }
                let blob = self.keep(json.into(), passing.is_some()).await?;
                *field = reference(&blob)?;
            }
        }
        Ok(Value::Object(fields))
    }

    /// The inverse of [`offload`](Self::offload): the body with its references resolved.
    pub async fn hydrate(&self, body: Value) -> Result<Value, BlobError> {
        let Value::Object(mut fields) = body else {
            return Ok(body);
        };
        for field in fields.values_mut() {
            let Some(blob) = referred(field) else {
                continue;
            };
            let blob: BlobRef = serde_json::from_value(blob.clone())
                .map_err(|error| BlobError::Reference(error.to_string()))?;
            let json = match self.get(&blob).await {
                Err(BlobError::Removed { .. }) => {
                    *field = Value::from(REMOVED);
                    continue;
                }
                got => got?,
            };
            *field = serde_json::from_slice(&json).map_err(|error| BlobError::Damaged {
                sha256: blob.sha256,
                why: format!("it is not the JSON of a field: {error}"),
            })?;
        }
        Ok(Value::Object(fields))
    }
}

/// What the field refers to, if it looks like a reference.
fn referred(field: &Value) -> Option<&Value> {
    let fields = field.as_object().filter(|fields| fields.len() == 1)?;
    fields.get(BLOB)
}

fn reference(blob: &BlobRef) -> Result<Value, BlobError> {
    let blob =
        serde_json::to_value(blob).map_err(|error| BlobError::Reference(error.to_string()))?;
    Ok(Value::Object(Map::from_iter([(BLOB.to_owned(), blob)])))
}

fn json(field: &Value) -> Result<Vec<u8>, BlobError> {
    // A value always has JSON; the library does not know it.
    serde_json::to_vec(field).map_err(|error| BlobError::Unavailable(error.to_string()))
}
