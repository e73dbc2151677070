//! Who acts on this command line, for the audit trail.

/// The user, as `cli:NAME`.
pub(crate) fn name() -> String {
    let user = std::env::var("USER")
        .or_else(|_| std::env::var("LOGNAME"))
        .unwrap_or_else(|_| "unknown".to_owned());
    format!("cli:{user}")
}
