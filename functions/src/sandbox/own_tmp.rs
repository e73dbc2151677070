//! A `/tmp` of its own for each process, which is its temporary folder: handlers for AWS Lambda
//! write there by that name. It takes a mount namespace, and for everybody but root a user
//! namespace around it; where the kernel or a policy does not allow these, nothing is changed.

use std::fs;
use std::io;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::StatVfsMountFlags;

use super::{Confinement, files};

const TMP: &str = "/tmp";

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
    // What it needs and lies in the machine's /tmp has to be found there by its name. To Landlock it
    // then lies in the temporary folder, where everything is allowed: so it is mounted for reading
    // alone, and without what is hidden in it.
    for path in files::readable(confinement) {
        if let Ok(name) = path.strip_prefix(TMP)
            && path.exists()
        {
            let at = confinement.temporary.join(name);
            bind(&path, &at)?;
            read_only(&at).inspect_err(|_| {
                let _ = umount2(&at, MntFlags::MNT_DETACH);
            })?;
        }
    }
    if let Ok(name) = confinement.temporary.strip_prefix(TMP) {
        bind(&confinement.temporary, &confinement.temporary.join(name))?;
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

fn read_only(at: &Path) -> io::Result<()> {
    // In a user namespace the flags that the mount has must be given again.
    let has = rustix::fs::statvfs(at)?.f_flag;
    let kept = [
        (StatVfsMountFlags::NOSUID, MsFlags::MS_NOSUID),
        (StatVfsMountFlags::NODEV, MsFlags::MS_NODEV),
        (StatVfsMountFlags::NOEXEC, MsFlags::MS_NOEXEC),
        (StatVfsMountFlags::NOATIME, MsFlags::MS_NOATIME),
        (StatVfsMountFlags::NODIRATIME, MsFlags::MS_NODIRATIME),
        (StatVfsMountFlags::RELATIME, MsFlags::MS_RELATIME),
    ];
    let kept = kept.into_iter().filter(|(flag, _)| has.contains(*flag));
    let again = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    let flags = kept.fold(again, |flags, (_, flag)| flags | flag);
    let nothing = None::<&str>;
    mount(nothing, at, nothing, flags, nothing)?;
    Ok(())
}
