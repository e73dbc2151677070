//! How events lie in the file: the events of one commit follow each other in blocks, in order of
//! their positions. One row a block costs a fraction of one row an event, in writing and reading.
//!
//! ```text
//! block = event*
//! event = length, stream number, version, type number, recorded at (8 bytes), body
//! body  = schema version, event id (16 bytes), salt (16 bytes), metadata, data to the end
//! ```
//!
//! Lengths and numbers are LEB128; the length counts what follows it. Metadata is a byte that says
//! which of the four texts are there, then each with its length.

use std::ops::Range;

use thiserror::Error;
use uuid::Uuid;

use crate::{EventMetadata, NewEvent, Salt};

/// The block is not what was written.
#[derive(Debug, Error)]
#[error("an event is cut short or malformed")]
pub(super) struct Malformed;

/// Where an event belongs: what only the writer knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) stream_id: i64,
    pub(super) version: u64,
    pub(super) type_id: i64,
    pub(super) recorded_at_us: i64,
}

/// An event as it lies in a block.
pub(super) struct BlockEvent {
    pub(super) place: Place,
    pub(super) schema_version: u32,
    pub(super) event_id: Uuid,
    pub(super) salt: Salt,
    pub(super) metadata: EventMetadata,
    /// Where in the block its data is.
    pub(super) data: Range<usize>,
}

/// The part of an event that needs no number from the writer.
pub(super) fn encode_body(event: &NewEvent, salt: &Salt) -> Vec<u8> {
    let mut body = Vec::with_capacity(event.data.len() + BODY_ROOM);
    put_number(&mut body, event.schema_version.into());
    body.extend_from_slice(event.event_id.as_bytes());
    body.extend_from_slice(salt);
    put_metadata(&mut body, &event.metadata);
    body.extend_from_slice(&event.data);
    body
}

/// Appends an event to a block.
pub(super) fn put_event(block: &mut Vec<u8>, place: Place, body: &[u8]) {
    let mut head = [0; HEAD_ROOM];
    let mut length = 0;
    for number in [
        place.stream_id.unsigned_abs(),
        place.version,
        place.type_id.unsigned_abs(),
    ] {
        length += write_number(&mut head[length..], number);
    }
    head[length..length + 8].copy_from_slice(&place.recorded_at_us.to_le_bytes());
    length += 8;
    put_number(block, (length + body.len()) as u64);
    block.extend_from_slice(&head[..length]);
    block.extend_from_slice(body);
}

/// The extents of the events in a block, in order.
pub(super) fn extents(block: &[u8]) -> impl Iterator<Item = Result<Range<usize>, Malformed>> {
    let mut cursor = Cursor {
        bytes: block,
        at: 0,
    };
    std::iter::from_fn(move || {
        if cursor.at == block.len() {
            return None;
        }
        let extent = cursor
            .number()
            .and_then(|length| cursor.take(usize::try_from(length).map_err(|_| Malformed)?));
        if extent.is_err() {
            cursor.at = block.len();
        }
        Some(extent)
    })
}

/// The event at an extent of the block.
#[inline]
pub(super) fn decode(block: &[u8], extent: Range<usize>) -> Result<BlockEvent, Malformed> {
    let mut cursor = Cursor {
        bytes: block.get(..extent.end).ok_or(Malformed)?,
        at: extent.start,
    };
    let place = Place {
        stream_id: cursor.id()?,
        version: cursor.number()?,
        type_id: cursor.id()?,
        recorded_at_us: i64::from_le_bytes(cursor.array()?),
    };
    Ok(BlockEvent {
        place,
        schema_version: u32::try_from(cursor.number()?).map_err(|_| Malformed)?,
        event_id: Uuid::from_bytes(cursor.array()?),
        salt: cursor.array()?,
        metadata: cursor.metadata()?,
        data: cursor.at..extent.end,
    })
}

/// What ids, salt and lengths of a body take, about.
const BODY_ROOM: usize = 48;
/// The most that three numbers and a time take.
const HEAD_ROOM: usize = 3 * NUMBER_ROOM + 8;
const NUMBER_ROOM: usize = 10;

fn write_number(to: &mut [u8], mut number: u64) -> usize {
    let mut length = 0;
    while number >= 0x80 {
        to[length] = number as u8 | 0x80;
        number >>= 7;
        length += 1;
    }
    to[length] = number as u8;
    length + 1
}

fn put_number(to: &mut Vec<u8>, number: u64) {
    let mut bytes = [0; NUMBER_ROOM];
    let length = write_number(&mut bytes, number);
    to.extend_from_slice(&bytes[..length]);
}

fn put_metadata(to: &mut Vec<u8>, metadata: &EventMetadata) {
    let texts = [
        &metadata.correlation_id,
        &metadata.causation_id,
        &metadata.actor,
        &metadata.traceparent,
    ];
    let present = texts.iter().enumerate();
    to.push(present.fold(0, |bits, (bit, text)| {
        bits | (u8::from(text.is_some()) << bit)
    }));
    for text in texts.into_iter().flatten() {
        put_number(to, text.len() as u64);
        to.extend_from_slice(text.as_bytes());
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn take(&mut self, length: usize) -> Result<Range<usize>, Malformed> {
        let end = self.at.checked_add(length).ok_or(Malformed)?;
        if end > self.bytes.len() {
            return Err(Malformed);
        }
        let taken = self.at..end;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let taken = self.take(N)?;
        self.bytes[taken].try_into().map_err(|_| Malformed)
    }

    fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or(Malformed)?;
            self.at += 1;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    fn id(&mut self) -> Result<i64, Malformed> {
        i64::try_from(self.number()?).map_err(|_| Malformed)
    }

    fn metadata(&mut self) -> Result<EventMetadata, Malformed> {
        let [present] = self.array()?;
        if present > 0b1111 {
            return Err(Malformed);
        }
        if present == 0 {
            return Ok(EventMetadata::default());
        }
        let mut text = |bit: u8| -> Result<Option<String>, Malformed> {
            if present & (1 << bit) == 0 {
                return Ok(None);
            }
            let length = usize::try_from(self.number()?).map_err(|_| Malformed)?;
            let taken = self.take(length)?;
            let text = std::str::from_utf8(&self.bytes[taken]).map_err(|_| Malformed)?;
            Ok(Some(text.to_owned()))
        };
        Ok(EventMetadata {
            correlation_id: text(0)?,
            causation_id: text(1)?,
            actor: text(2)?,
            traceparent: text(3)?,
        })
    }
}

#[cfg(test)]
mod tests;
