//! What stores give to put the writes of one key in order, in the one form that
//! [`OrderMark::compare`] puts in order: compared after padding with zeros on the right, without
//! regard to case.
//!
//! The authority names the source and the channel, since a store may count differently on each:
//! events of S3 through EventBridge have shorter sequencers than those that S3 sends itself.

use daybook_domain::stored_object::OrderMark;

/// S3 and MinIO: hexadecimal, as it is (S3 user guide, "Event message structure").
pub(crate) fn hexadecimal(authority: &str, sequencer: Option<&str>) -> Option<OrderMark> {
    let sequencer = sequencer?;
    let is_hex = sequencer.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| mark(authority, sequencer.to_owned()))
}

/// Ceph: the bytes of its time in memory, seconds and then nanoseconds, each of 32 bits and little
/// end first (`rgw_notify.cc`). Big end first they sort as times do.
pub(crate) fn little_endian(authority: &str, sequencer: Option<&str>) -> Option<OrderMark> {
    let bytes = hex::decode(sequencer?).ok()?;
    let (seconds, nanoseconds) = bytes.split_first_chunk::<4>()?;
    let nanoseconds: [u8; 4] = nanoseconds.try_into().ok()?;
    let seconds = u32::from_le_bytes(*seconds);
    let nanoseconds = u32::from_le_bytes(nanoseconds);
    Some(mark(authority, format!("{seconds:08x}{nanoseconds:08x}")))
}

/// Google: a whole number, here of as many digits as the largest has.
pub(crate) fn generation(authority: &str, generation: &str) -> Option<OrderMark> {
    let number: u64 = generation.parse().ok()?;
    Some(mark(authority, format!("{number:020}")))
}

/// Azure: any text, compared as a text.
pub(crate) fn text(authority: &str, sequencer: Option<&str>) -> Option<OrderMark> {
    Some(mark(authority, hex::encode(sequencer?)))
}

fn mark(authority: &str, sequencer: String) -> OrderMark {
    OrderMark {
        authority: authority.to_owned(),
        sequencer,
    }
}

#[cfg(test)]
mod tests;
