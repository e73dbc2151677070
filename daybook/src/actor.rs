//! Who acts on this command line, for the audit trail.

/// The user, as `cli:NAME`; by number where the environment does not tell the name.
pub(crate) fn name() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    match user {
        Ok(user) if !user.is_empty() => format!("cli:{user}"),
        _ => format!("cli:uid-{}", rustix::process::getuid().as_raw()),
    }
}
