//! Running PostgreSQL's programs: where they are, and as whom they run.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where Debian installs the server, a folder for each version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// The user that Debian's package makes. PostgreSQL refuses to run as root.
const USER: &str = "postgres";

/// The programs of one PostgreSQL version, and the user to run them as.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    folder: PathBuf,
    user: Option<User>,
}

#[derive(Clone, Copy, Debug)]
struct User {
    uid: u32,
    gid: u32,
}

impl Programs {
    /// The newest version that Debian installed, or the one in the `PATH`.
    pub(super) fn find() -> Self {
        let folder = debian_folders()
            .into_iter()
            .chain(path_folders())
            .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists());
        let Some(folder) = folder else {
            panic!(
                "PostgreSQL's server programs are neither under {DEBIAN} nor in the PATH: \
                 install the Debian package `postgresql`"
            );
        };
        let user = rustix::process::geteuid().is_root().then(debian_user);
        Self { folder, user }
    }

    /// A command for the program, to be run as the right user.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.folder.join(program));
        if let Some(user) = self.user {
            command.uid(user.uid).gid(user.gid);
        }
        // Settings of whoever runs the tests are not those of the tests.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command.current_dir("/");
        command
    }

    /// Runs the program to its end, or fails the test with what it printed.
    pub(super) fn run(&self, program: &str, arguments: &[&str], environment: &[(&str, &str)]) {
        let output = self
            .command(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .output();
        let output = output.unwrap_or_else(|error| panic!("{program} does not start: {error}"));
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Gives a file or folder to the user that the programs run as.
    pub(super) fn hand_over(&self, path: &Path) {
        if let Some(user) = self.user {
            chown(path, Some(user.uid), Some(user.gid)).expect("root may give files away");
        }
    }
}

fn debian_folders() -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            Some((version, path.join("bin")))
        })
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, folder)| folder).collect()
}

fn path_folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).collect()
}

fn debian_user() -> User {
    let users = fs::read_to_string("/etc/passwd").expect("there is a list of users");
    let found = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (name == USER).then_some(User { uid, gid })
    });
    found.unwrap_or_else(|| {
        panic!(
            "PostgreSQL does not run as root and there is no user {USER}: \
             install the Debian package `postgresql`"
        )
    })
}
