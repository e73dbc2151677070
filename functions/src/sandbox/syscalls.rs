//! seccomp: system calls that lead out of what Landlock and the host watch. A list of what is
//! refused, not of what is allowed: programs nobody has seen yet must run.

use std::collections::BTreeMap;
use std::io;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

use super::Confinement;

/// System calls by number; no rules: whatever the arguments.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;
type Outcome<T> = Result<T, seccompiler::BackendError>;

/// Numbers of the other ABI of x86_64, which reaches the same calls where the kernel has it.
#[cfg(target_arch = "x86_64")]
const X32_BIT: i64 = 0x4000_0000;
/// Those that have numbers of their own there: ptrace, process_vm_readv, process_vm_writev,
/// kexec_load, sendmsg, sendmmsg.
#[cfg(target_arch = "x86_64")]
const X32_OWN: [i64; 6] = [521, 539, 540, 528, 518, 538];

/// Newer than the constants of the C library's crate, the same on all processors: setxattrat,
/// removexattrat, open_tree_attr.
const NEW: [i64; 3] = [463, 466, 467];

/// The group is what is killed, so nobody leaves it. They answer that they did: programs that start
/// others this way (Python's `start_new_session`, Node's `detached`, `nohup`, `timeout`) go on.
const STAYS_IN_GROUP: &[c_long] = &[libc::SYS_setsid, libc::SYS_setpgid];

/// Not permitted.
const FORBIDDEN: &[c_long] = &[
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    // Mounts and namespaces, where other rules would hold.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_by_handle_at,
    // Keys, which are kept for a user, not for a process.
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
    // The kernel and the machine.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_fanotify_init,
    // Marks of a file that Landlock does not guard; those of buckets carry objects' identities.
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
];

/// Answered as by a kernel that lacks them, so that programs do without.
const UNKNOWN: &[c_long] = &[
    // Goes around these filters.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Its flags cannot be looked at; the C library falls back to clone.
    libc::SYS_clone3,
    // Memory that no process is charged with.
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_shmget,
];

/// Calls with a process id, in the argument of this number, that may only concern the caller (0):
/// a user's processes may otherwise bind each other.
const OWN_ONLY: &[(c_long, u8)] = &[
    (libc::SYS_prlimit64, 0),
    (libc::SYS_setpriority, 1),
    (libc::SYS_sched_setaffinity, 0),
    (libc::SYS_sched_setscheduler, 0),
    (libc::SYS_sched_setattr, 0),
    (libc::SYS_sched_setparam, 0),
    (libc::SYS_ioprio_set, 1),
];

/// Calls that send, with the argument that holds their flags: with this one they connect as well,
/// and Landlock is not asked.
const SENDS: &[(c_long, u8)] = &[
    (libc::SYS_sendto, 3),
    (libc::SYS_sendmsg, 2),
    (libc::SYS_sendmmsg, 3),
];

const NAMESPACES: libc::c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// The bits of a socket's type that are not flags.
const SOCKET_TYPE: u64 = 0xf;

/// Refuses them for this thread and what it becomes; false on a processor that the filters are not
/// made for, or without seccomp. `knows_sockets`: Landlock guards sockets in the file system.
pub(super) fn refuse(confinement: &Confinement, knows_sockets: bool) -> io::Result<bool> {
    let Ok(target) = TargetArch::try_from(std::env::consts::ARCH) else {
        return Ok(false);
    };
    let programs = programs(confinement, knows_sockets, target).map_err(io::Error::other)?;
    // The last one applied is asked first, and none of them refuses what applies the others.
    Ok(programs.iter().all(|program| apply_filter(program).is_ok()))
}

fn programs(
    confinement: &Confinement,
    knows_sockets: bool,
    target: TargetArch,
) -> Outcome<[BpfProgram; 3]> {
    let mut forbidden = whatever(FORBIDDEN);
    forbidden.extend(NEW.map(|number| (number, Vec::new())));
    for (call, argument) in OWN_ONLY {
        let other = vec![condition(*argument, SeccompCmpOp::Ne, 0)?];
        add(&mut forbidden, *call, other)?;
    }
    let fast_open = u64::from(libc::MSG_FASTOPEN.unsigned_abs());
    for (call, argument) in SENDS {
        let connects = condition(*argument, SeccompCmpOp::MaskedEq(fast_open), fast_open)?;
        add(&mut forbidden, *call, vec![connects])?;
    }
    for bit in (0..32).map(|bit| 1_u64 << bit) {
        if bit & u64::from(NAMESPACES.unsigned_abs()) != 0 {
            let new = condition(0, SeccompCmpOp::MaskedEq(bit), bit)?;
            add(&mut forbidden, libc::SYS_clone, vec![new])?;
        }
    }
    sockets(&mut forbidden, knows_sockets)?;
    if confinement.listen.is_empty() {
        // Without a port the kernel chooses one, and Landlock is not asked.
        forbidden.extend(whatever(&[libc::SYS_listen]));
    }
    let errno = |number: libc::c_int| SeccompAction::Errno(number.unsigned_abs());
    Ok([
        program(whatever(STAYS_IN_GROUP), errno(0), target)?,
        program(forbidden, errno(libc::EPERM), target)?,
        program(whatever(UNKNOWN), errno(libc::ENOSYS), target)?,
    ])
}

/// Leaves TCP, UDP and netlink (which name resolution asks for addresses): Landlock guards TCP
/// alone, and others connect as well as it does.
fn sockets(forbidden: &mut Rules, knows_sockets: bool) -> Outcome<()> {
    let families = [
        (libc::AF_INET, true),
        (libc::AF_INET6, true),
        (libc::AF_NETLINK, true),
        (libc::AF_UNIX, knows_sockets),
    ];
    let others = families
        .iter()
        .filter(|(_, allowed)| *allowed)
        .map(|(family, _)| condition(0, SeccompCmpOp::Ne, u64::from(family.unsigned_abs())))
        .collect::<Outcome<Vec<_>>>()?;
    add(forbidden, libc::SYS_socket, others)?;
    for family in [libc::AF_INET, libc::AF_INET6] {
        let family = || condition(0, SeccompCmpOp::Eq, u64::from(family.unsigned_abs()));
        let kind = |kind: libc::c_int, op: fn(u64) -> SeccompCmpOp| {
            let kind = u64::from(kind.unsigned_abs());
            condition(1, op(SOCKET_TYPE), kind)
        };
        // A stream over anything but TCP.
        let stream = kind(libc::SOCK_STREAM, SeccompCmpOp::MaskedEq)?;
        let own = condition(2, SeccompCmpOp::Ne, 0)?;
        let tcp = u64::from(libc::IPPROTO_TCP.unsigned_abs());
        let not_tcp = condition(2, SeccompCmpOp::Ne, tcp)?;
        add(
            forbidden,
            libc::SYS_socket,
            vec![family()?, stream, own, not_tcp],
        )?;
        // Neither streams nor datagrams.
        for other in [
            libc::SOCK_RAW,
            libc::SOCK_SEQPACKET,
            libc::SOCK_DCCP,
            libc::SOCK_RDM,
        ] {
            let other = kind(other, SeccompCmpOp::MaskedEq)?;
            add(forbidden, libc::SYS_socket, vec![family()?, other])?;
        }
    }
    Ok(())
}

/// Arguments of these calls have 32 bits; what stands above them is not looked at by the kernel.
fn condition(argument: u8, op: SeccompCmpOp, value: u64) -> Outcome<SeccompCondition> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, op, value)
}

/// All conditions have to hold.
fn add(rules: &mut Rules, call: c_long, conditions: Vec<SeccompCondition>) -> Outcome<()> {
    for number in numbers(call) {
        let rule = SeccompRule::new(conditions.clone())?;
        rules.entry(number).or_default().push(rule);
    }
    Ok(())
}

fn whatever(calls: &[c_long]) -> Rules {
    let calls = calls.iter().flat_map(|call| numbers(*call));
    calls.map(|number| (number, Vec::new())).collect()
}

#[cfg(target_arch = "x86_64")]
fn numbers(call: c_long) -> Vec<i64> {
    let mut numbers = vec![call, call | X32_BIT];
    if call == libc::SYS_ptrace {
        numbers.extend(X32_OWN.map(|own| own | X32_BIT));
    }
    numbers
}

#[cfg(not(target_arch = "x86_64"))]
fn numbers(call: c_long) -> Vec<i64> {
    vec![call]
}

fn program(rules: Rules, refused: SeccompAction, target: TargetArch) -> Outcome<BpfProgram> {
    SeccompFilter::new(rules, SeccompAction::Allow, refused, target)?.try_into()
}
