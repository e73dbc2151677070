//! What every program needs of the file system to run at all, and how a folder is given without
//! what must stay hidden in it.

use std::path::PathBuf;

use super::Confinement;

/// Devices that may be read and written.
pub(super) const DEVICES: [&str; 7] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
];

/// Programs, libraries and what they ask the kernel for. The environment, memory and open files of
/// other processes in `/proc` stay closed: Landlock asks more for these than the file's own right.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/opt",
    "/nix/store",
    "/gnu/store",
    "/proc",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager/resolv.conf",
    // Names, time zones, certificates and loaders' tables, but no secrets of this machine.
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/ld-musl-x86_64.path",
    "/etc/ld-musl-aarch64.path",
    "/etc/locale.alias",
    "/etc/localtime",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki/ca-trust/extracted",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/openssl.cnf",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/static",
    "/etc/terminfo",
    "/etc/timezone",
];

/// All that may be read and executed.
pub(super) fn readable(confinement: &Confinement) -> Vec<PathBuf> {
    let own = confinement.readable.iter().cloned();
    let mut paths = Vec::new();
    for path in SYSTEM.iter().map(PathBuf::from).chain(own) {
        give(path, &confinement.hidden, &mut paths);
    }
    paths
}

/// A path, or in its place all that is in it beside what is hidden.
fn give(path: PathBuf, hidden: &[PathBuf], given: &mut Vec<PathBuf>) {
    let real = path.canonicalize().unwrap_or_else(|_| path.clone());
    if hidden.contains(&real) {
        return;
    }
    if !hidden.iter().any(|hidden| hidden.starts_with(&real)) {
        given.push(path);
        return;
    }
    for entry in real.read_dir().into_iter().flatten().flatten() {
        // A link leads elsewhere, which is given on its own account or not at all.
        if !entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
            give(entry.path(), hidden, given);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_given_without_what_is_hidden_in_it() {
        let folder = tempfile::TempDir::new().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for file in ["a/code.py", "a/b/ledger/log", "a/b/helper.py", "c"] {
            let file = root.join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "").unwrap();
        }
        std::os::unix::fs::symlink(root.join("c"), root.join("a/link")).unwrap();
        let given = |hidden: &[&str]| {
            let hidden: Vec<_> = hidden.iter().map(|path| root.join(path)).collect();
            let mut given = Vec::new();
            give(root.join("a"), &hidden, &mut given);
            given.sort();
            given
                .iter()
                .map(|path| {
                    path.strip_prefix(&root)
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned()
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(given(&[]), ["a"]);
        assert_eq!(given(&["c", "elsewhere"]), ["a"]);
        assert_eq!(given(&["a/b/ledger"]), ["a/b/helper.py", "a/code.py"]);
        assert_eq!(given(&["a"]), Vec::<String>::new());
    }
}
