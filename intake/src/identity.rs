//! What tells one event from every other of its channel.

use ring::digest;

/// Bytes of the digest that are kept: enough that no two events meet.
const KEPT: usize = 16;

/// The identity of an event with these parts. Each is counted in with its length, so that no two
/// lists read the same; it is of one length, since it is remembered with each object.
pub(crate) fn of(parts: &[Option<&str>]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        match part {
            Some(part) => {
                context.update(&(part.len() as u64).to_be_bytes());
                context.update(part.as_bytes());
            }
            None => context.update(&u64::MAX.to_be_bytes()),
        }
    }
    hex::encode(&context.finish().as_ref()[..KEPT])
}
