//! Landlock: which files, ports and processes are in reach. The kernel knows more with each
//! version of its interface (ABI); the crate leaves out what this one does not know.

use std::io;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, NetPort,
    RestrictionStatus, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError,
    Scope, make_bitflags, path_beneath_rules,
};

use super::{Confinement, SandboxPart, files};

/// The newest interface whose rights are asked for here.
const NEWEST: ABI = ABI::V9;
/// The first that can refuse connections to sockets in the file system.
pub(super) const KNOWS_SOCKETS: i32 = 9;

/// Restricts this thread, and what it becomes. Returns the kernel's interface, 0 for none.
pub(super) fn restrict(confinement: &Confinement) -> io::Result<i32> {
    let status = rules(confinement).map_err(io::Error::other)?;
    Ok(match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi as i32,
        _ => 0,
    })
}

/// The parts that hold with this interface.
pub(super) fn parts(abi: i32) -> impl Iterator<Item = SandboxPart> {
    [
        (SandboxPart::Files, ABI::V3),
        (SandboxPart::Tcp, ABI::V4),
        (SandboxPart::Signals, ABI::V6),
    ]
    .into_iter()
    .filter(move |(_, since)| abi >= *since as i32)
    .map(|(part, _)| part)
}

fn rules(confinement: &Confinement) -> Result<RestrictionStatus, RulesetError> {
    let reading = AccessFs::from_read(NEWEST);
    let device = make_bitflags!(AccessFs::{ReadFile | WriteFile | Truncate | IoctlDev});
    let created = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(ABI::V4))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?;
    let readable = files::readable(confinement);
    let own = [&confinement.temporary];
    let mut created = beneath(created, readable, reading)?;
    created = beneath(created, files::DEVICES, device)?;
    created = beneath(created, own, AccessFs::from_all(NEWEST))?;
    for port in &confinement.connect {
        created = created.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    for port in &confinement.listen {
        created = created.add_rule(NetPort::new(*port, AccessNet::BindTcp))?;
    }
    created.restrict_self()
}

/// Allows this beneath those of the paths that are there.
fn beneath<P: AsRef<std::path::Path>>(
    created: RulesetCreated,
    paths: impl IntoIterator<Item = P>,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    created.add_rules(path_beneath_rules(paths, access))
}
