//! What goes in comes out, and damage is found rather than believed or panicked over.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use super::{Place, decode, encode_body, extents, put_event};
use crate::{EventMetadata, NewEvent};

fn event() -> impl Strategy<Value = (Place, NewEvent)> {
    let text = || prop::option::of(".{0,40}");
    let place = (0..=i64::MAX, any::<u64>(), 0..=i64::MAX, any::<i64>());
    let metadata = (text(), text(), text(), text());
    let rest = (any::<u32>(), any::<u128>(), vec(any::<u8>(), 0..300));
    (place, metadata, rest).prop_map(|(place, metadata, rest)| {
        let (stream_id, version, type_id, recorded_at_us) = place;
        let (correlation_id, causation_id, actor, traceparent) = metadata;
        let (schema_version, id, data) = rest;
        let place = Place {
            stream_id,
            version,
            type_id,
            recorded_at_us,
        };
        let event = NewEvent {
            event_id: Uuid::from_u128(id),
            event_type: "Happened".into(),
            schema_version,
            data: Bytes::from(data),
            metadata: EventMetadata {
                correlation_id,
                causation_id,
                actor,
                traceparent,
            },
        };
        (place, event)
    })
}

fn block_of(events: &[(Place, NewEvent)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (place, event) in events {
        put_event(&mut block, *place, &encode_body(event, &[7; 16]));
    }
    block
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(events in vec(event(), 0..5)) {
        let block = block_of(&events);
        let found: Vec<_> = extents(&block).map(Result::unwrap).collect();
        prop_assert_eq!(found.len(), events.len());
        for (extent, (place, event)) in found.into_iter().zip(events) {
            let found = decode(&block, extent).unwrap();
            prop_assert_eq!(found.place, place);
            prop_assert_eq!(found.schema_version, event.schema_version);
            prop_assert_eq!(found.event_id, event.event_id);
            prop_assert_eq!(found.salt, [7; 16]);
            prop_assert_eq!(found.metadata, event.metadata);
            prop_assert_eq!(&block[found.data], &event.data[..]);
        }
    }

    #[test]
    fn a_block_cut_short_is_malformed(events in vec(event(), 1..3), cut in any::<prop::sample::Index>()) {
        let block = block_of(&events);
        let cut = cut.index(block.len());
        let whole = extents(&block).filter(|extent| extent.as_ref().unwrap().end <= cut).count();
        let found: Vec<_> = extents(&block[..cut]).collect();
        prop_assert_eq!(found.iter().filter(|extent| extent.is_ok()).count(), whole);
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        for extent in extents(&bytes).flatten() {
            let _ = decode(&bytes, extent);
        }
    }
}
