//! What is said of a config that is not TOML or has not the right shape: where and why, without the
//! line itself, which may hold a secret.

/// The message: line and column, what is wrong, and the key if it is known.
pub(super) fn message(text: &str, mut error: toml::de::Error) -> String {
    let place = error.span().map(|span| {
        let before = text.get(..span.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .map_or(0, |it| it.chars().count())
            + 1;
        format!("line {line}, column {column}: ")
    });
    // Without its input the error shows the key instead of the line.
    error.set_input(None);
    let shown = error.to_string();
    let key = shown.strip_prefix(error.message()).unwrap_or_default();
    let key = key.trim();
    let space = if key.is_empty() { "" } else { " " };
    format!(
        "{}{}{space}{key}",
        place.unwrap_or_default(),
        without_value(error.message())
    )
}

/// Takes the value out of `invalid type: string "value", expected a number`.
fn without_value(message: &str) -> String {
    let parts = ["invalid type: ", "invalid value: "]
        .iter()
        .find_map(|kind| Some((kind, message.strip_prefix(kind)?)))
        .and_then(|(kind, rest)| Some((kind, rest.rsplit_once(", expected ")?)));
    match parts {
        None => message.to_owned(),
        Some((kind, (found, expected))) => {
            let found = found.split(['"', '`']).next().unwrap_or_default();
            format!("{kind}{}, expected {expected}", found.trim_end())
        }
    }
}
