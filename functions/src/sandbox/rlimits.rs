//! What the kernel bounds for each process by itself. The host's own measurements are what counts
//! ([`crate::meter`]); these hold in the moments between.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use super::HardLimits;

/// Applies them, soft and hard.
pub(super) fn apply(limits: &HardLimits) -> io::Result<()> {
    for (resource, most) in [
        (Resource::Nofile, limits.open_files),
        (Resource::Fsize, limits.file_bytes),
        (Resource::Data, limits.data_bytes),
        (Resource::Core, 0),
        // Memory that no process is charged with.
        (Resource::Msgqueue, 0),
    ] {
        // Without privileges a hard limit cannot be raised, so the lower one counts.
        let most = match rustix::process::getrlimit(resource).maximum {
            Some(already) => most.min(already),
            None => most,
        };
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)?;
    }
    Ok(())
}

/// Gives up root's powers, where the host has them. Without new privileges they do not come back.
pub(super) fn drop_capabilities() -> io::Result<()> {
    rustix::thread::clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    Ok(set_capabilities(None, sets)?)
}
