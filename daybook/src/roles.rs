//! The roles of a process: which of the services it runs.

use anyhow::Result;

use crate::usage::usage;

/// The names, as `--roles` takes them.
const NAMES: [&str; 4] = ["command", "query", "functions", "audit"];

/// Which services a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Roles {
    /// Commands, the S3 gateway and the functions.
    pub command: bool,
    /// GraphQL and the read models.
    pub query: bool,
}

impl Roles {
    /// All of them, in one process.
    pub(crate) const ALL: Roles = Roles {
        command: true,
        query: true,
    };

    /// The roles of a process by their names; all of them where none is named. Whoever has the log
    /// to himself has to have all of them: nobody else could take the others.
    pub(crate) fn parse(names: &[String], shares_log: bool) -> Result<Self> {
        if names.is_empty() {
            return Ok(Self::ALL);
        }
        if let Some(unknown) = names.iter().find(|name| !NAMES.contains(&name.as_str())) {
            usage!("role {unknown:?} is not one of {}", NAMES.join(", "));
        }
        let given = |name: &str| names.iter().any(|given| given == name);
        if given("command") != given("functions") {
            usage!(
                "command and functions go together in this version: whoever claims an attempt runs \
                 it; give --roles command,functions"
            );
        }
        let roles = Self {
            command: given("command"),
            query: given("query"),
        };
        if roles != Self::ALL && !shares_log {
            usage!(
                "a ledger on SQLite has one process, which has all roles; leave --roles out, or \
                 share a log: url = \"postgres://…\" in [store]"
            );
        }
        if !roles.command && !roles.query {
            usage!(
                "the role audit has nothing to do yet in this version; give command,functions or \
                 query as well"
            );
        }
        Ok(roles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(names: &str, shares_log: bool) -> Result<Roles, String> {
        let names: Vec<String> = names.split_terminator(',').map(str::to_owned).collect();
        Roles::parse(&names, shares_log).map_err(|error| error.to_string())
    }

    #[test]
    fn all_of_them_without_a_word() {
        assert_eq!(parse("", false), Ok(Roles::ALL));
        assert_eq!(
            parse("command,query,functions,audit", false),
            Ok(Roles::ALL)
        );
        assert_eq!(parse("audit,query,functions,command", true), Ok(Roles::ALL));
    }

    #[test]
    fn a_shared_log_may_have_each_side_alone() {
        let roles = parse("command,functions", true).unwrap();
        assert_eq!((roles.command, roles.query), (true, false));
        let roles = parse("query", true).unwrap();
        assert_eq!((roles.command, roles.query), (false, true));
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_remedy() {
        for (names, shares_log, says) in [
            ("command,janitor", true, "janitor"),
            ("command", true, "--roles command,functions"),
            ("functions,query", true, "--roles command,functions"),
            ("query", false, "postgres://"),
            ("command,functions", false, "postgres://"),
            ("audit", true, "nothing to do yet"),
        ] {
            let refused = parse(names, shares_log).unwrap_err();
            assert!(refused.contains(says), "{names}: {refused}");
        }
    }
}
