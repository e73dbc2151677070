//! Is each case that is written also started?

#[test]
fn the_macro_starts_every_case() {
    let started = include_str!("../conformance.rs");
    let groups = [
        include_str!("appending.rs"),
        include_str!("importing.rs"),
        include_str!("racing.rs"),
        include_str!("reading.rs"),
        include_str!("recording.rs"),
        include_str!("repeating.rs"),
        include_str!("restarting.rs"),
        include_str!("sharing.rs"),
        include_str!("subscribing.rs"),
    ];
    for group in groups {
        let cases: Vec<&str> = group
            .split("\npub async fn ")
            .skip(1)
            .filter_map(|rest| rest.split_once('(').map(|(name, _)| name))
            .collect();
        assert!(!cases.is_empty());
        for case in cases {
            assert!(
                started.contains(&format!(" {case},\n")),
                "{case} is not started"
            );
        }
    }
}
