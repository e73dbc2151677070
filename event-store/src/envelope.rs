//! One hash over all envelopes of a log: equal for two logs that hold the same events in the same
//! order, whatever their engines are.
//!
//! It is a chain of SHA-256. `H(0)` is the hash of the ASCII text `daybook log 1`; with each event
//! `H(n) = SHA-256(H(n-1) || E(n))`. `E(n)` is these parts one after the other, numbers big-endian,
//! each text and body with its length in bytes as 8 bytes in front:
//!
//! | part | bytes |
//! |---|---|
//! | ordinal `n` of the event in the log, from 1 | 8 |
//! | name of the stream, UTF-8 | 8 + length |
//! | version in the stream, from 0 | 8 |
//! | event id (RFC 9562 byte order) | 16 |
//! | event type, UTF-8 | 8 + length |
//! | schema version | 4 |
//! | `recorded_at` in microseconds since 1970, signed | 8 |
//! | data, as it was stored | 8 + length |
//! | `correlation_id`, `causation_id`, `actor`, `traceparent`, in this order: a byte 0 where there is none, else a byte 1 and the text | 1, or 9 + length |
//! | salt | 16 |
//!
//! Positions are left out: an engine may have gaps of its own.

use sha2::{Digest, Sha256};

use crate::RecordedEvent;

/// What the chain begins with; it names the encoding.
const ENCODING: &[u8] = b"daybook log 1";

/// The hash of the events added so far, in log order.
#[derive(Clone, Debug)]
pub struct EnvelopeHash {
    chain: [u8; 32],
    events: u64,
}

impl Default for EnvelopeHash {
    fn default() -> Self {
        Self {
            chain: Sha256::digest(ENCODING).into(),
            events: 0,
        }
    }
}

impl EnvelopeHash {
    /// Adds the next event.
    pub fn add(&mut self, event: &RecordedEvent) {
        self.events += 1;
        let metadata = &event.metadata;
        let mut hash = Sha256::new();
        hash.update(self.chain);
        hash.update(self.events.to_be_bytes());
        text(&mut hash, event.stream.as_str().as_bytes());
        hash.update(event.version.0.to_be_bytes());
        hash.update(event.event_id.as_bytes());
        text(&mut hash, event.event_type.as_bytes());
        hash.update(event.schema_version.to_be_bytes());
        hash.update(event.recorded_at.as_microsecond().to_be_bytes());
        text(&mut hash, &event.data);
        for field in [
            &metadata.correlation_id,
            &metadata.causation_id,
            &metadata.actor,
            &metadata.traceparent,
        ] {
            match field {
                None => hash.update([0]),
                Some(field) => {
                    hash.update([1]);
                    text(&mut hash, field.as_bytes());
                }
            }
        }
        hash.update(event.salt);
        self.chain = hash.finalize().into();
    }

    /// How many events were added.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The hash in hexadecimal.
    pub fn to_hex(&self) -> String {
        hex::encode(self.chain)
    }
}

fn text(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

#[cfg(test)]
mod tests;
