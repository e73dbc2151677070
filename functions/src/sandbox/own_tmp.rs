//! A `/tmp` of its own for each process, which is its temporary folder: handlers for AWS Lambda
//! write there by that name. It takes a mount namespace, and for everybody but root a user
//! namespace around it; where the kernel or a policy does not allow these, nothing is changed.

use std::fs;
use std::io;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::Confinement;

pub(super) const TMP: &str = "/tmp";

/// Makes it; whether that was possible.
pub(super) fn make(confinement: &Confinement) -> bool {
    unshared() && mounted(confinement).is_ok()
}

fn unshared() -> bool {
    if unshare(CloneFlags::CLONE_NEWNS).is_ok() {
        return true;
    }
    let (user, group) = (nix::unistd::getuid(), nix::unistd::getgid());
    let mapped = || -> io::Result<()> {
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
        fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/gid_map", format!("{group} {group} 1"))
    };
    mapped().is_ok()
}

fn mounted(confinement: &Confinement) -> io::Result<()> {
    let nothing = None::<&str>;
    // What is mounted here must not be seen elsewhere.
    let flags = MsFlags::MS_SLAVE | MsFlags::MS_REC;
    mount(nothing, "/", nothing, flags, nothing)?;
    // What it needs and lies in the machine's /tmp has to be found there by its name.
    let needed = confinement.readable.iter().chain([&confinement.temporary]);
    for path in needed {
        if let Ok(name) = path.strip_prefix(TMP)
            && path.exists()
        {
            bind(path, &confinement.temporary.join(name))?;
        }
    }
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(&confinement.temporary), TMP, nothing, flags, nothing)?;
    Ok(())
}

fn bind(path: &Path, at: &Path) -> io::Result<()> {
    if path.is_dir() {
        fs::create_dir_all(at)?;
    } else {
        if let Some(parent) = at.parent() {
            fs::create_dir_all(parent)?;
        }
        if !at.exists() {
            fs::write(at, "")?;
        }
    }
    let nothing = None::<&str>;
    mount(Some(path), at, nothing, MsFlags::MS_BIND, nothing)?;
    Ok(())
}
