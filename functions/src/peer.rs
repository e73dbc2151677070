//! Who is at the other end of a loopback connection: only processes of the function's own group
//! may speak to its Runtime API port. Linux only; elsewhere everybody on the machine may.
//!
//! The kernel's table of TCP connections gives the peer's socket, and `/proc/PID/fd` tells whether
//! a process of the group holds it. This happens once a connection, and clients keep theirs. It
//! does not cover a process that hands its socket to another, nor one of the same user that
//! joins the group. If the kernel hides what a process of the group holds (an interpreter with file
//! capabilities), nobody can be told apart and the connection is let in.

use rustix::process::Pid;
use tokio::net::TcpStream;

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A process of the group.
    Member,
    /// Somebody else.
    Foreign,
    /// Nobody any more: clients drop connections that they opened in advance.
    Gone,
}

#[cfg(target_os = "linux")]
pub(crate) async fn of(stream: &TcpStream, group: Pid) -> Peer {
    let (Ok(ours), Ok(theirs)) = (stream.local_addr(), stream.peer_addr()) else {
        return Peer::Gone;
    };
    let check = move || linux::peer(group, theirs.port(), ours.port());
    tokio::task::spawn_blocking(check)
        .await
        .unwrap_or(Peer::Foreign)
}

#[cfg(not(target_os = "linux"))]
pub(crate) async fn of(_stream: &TcpStream, _group: Pid) -> Peer {
    Peer::Member
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::io::{BufRead, BufReader};
    use std::path::Path;

    use rustix::process::Pid;

    use super::Peer;

    /// Who holds the loopback socket from port `local` to port `remote`.
    pub(super) fn peer(group: Pid, local: u16, remote: u16) -> Peer {
        // A socket that its process has closed has inode 0 for a while.
        let Some(inode) = inode(local, remote).filter(|inode| inode != "0") else {
            return Peer::Gone;
        };
        let socket = format!("socket:[{inode}]");
        let leader = group.as_raw_nonzero().get();
        if has_open(leader, &socket) || members(group).any(|member| has_open(member, &socket)) {
            return Peer::Member;
        }
        // It may have been closed since it was looked up.
        match self::inode(local, remote) {
            Some(still) if still == inode => Peer::Foreign,
            _ => Peer::Gone,
        }
    }

    /// The socket's inode, from the table that the kernel's `proc_net_tcp` document describes.
    /// A client with a dual-stack socket is in the table of IPv6, as an IPv4-mapped address.
    fn inode(local: u16, remote: u16) -> Option<String> {
        let local = format!("0100007F:{local:04X}");
        let remote = format!("0100007F:{remote:04X}");
        ["/proc/self/net/tcp", "/proc/self/net/tcp6"]
            .into_iter()
            .find_map(|table| {
                let lines = BufReader::new(fs::File::open(table).ok()?).lines();
                lines.skip(1).map_while(Result::ok).find_map(|line| {
                    let mut fields = line.split_ascii_whitespace().skip(1);
                    let matches =
                        fields.next()?.ends_with(&local) && fields.next()?.ends_with(&remote);
                    // state, queues, timer, retransmits, uid, timeout, inode
                    if matches {
                        fields.nth(6).map(str::to_owned)
                    } else {
                        None
                    }
                })
            })
    }

    /// Whether the process holds the socket, or will not be asked.
    fn has_open(process: i32, socket: &str) -> bool {
        match fs::read_dir(format!("/proc/{process}/fd")) {
            Ok(descriptors) => descriptors.flatten().any(|descriptor| {
                fs::read_link(descriptor.path()).is_ok_and(|link| link == Path::new(socket))
            }),
            Err(error) => error.kind() == std::io::ErrorKind::PermissionDenied,
        }
    }

    fn members(group: Pid) -> impl Iterator<Item = i32> {
        let group = group.as_raw_nonzero().get().to_string();
        fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(move |entry| {
                let process: i32 = entry.file_name().to_str()?.parse().ok()?;
                let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
                // After the name in brackets, which may hold anything: state, parent, group.
                let (_, fields) = stat.rsplit_once(')')?;
                (fields.split_ascii_whitespace().nth(2) == Some(group.as_str())).then_some(process)
            })
    }
}
