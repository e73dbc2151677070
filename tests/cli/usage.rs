//! What people get wrong, and what they are told.

use crate::support::Ledger;
use crate::support::clients::daybook;

use super::alone;

#[tokio::test]
async fn mistakes_are_told_apart_by_the_exit_code() {
    for usage in [
        &["frobnicate"][..],
        &["objects", "--frob"],
        &["status", "--output", "xml"],
        &["demo", "--dir", "somewhere"],
        &["replay", "start"],
        &["events", "--after", "x"],
        &["export", "--out", "somewhere", "--since", "yesterday"],
        &[],
    ] {
        let said = alone(usage).await.failed(2);
        assert!(said.contains("--help"), "{usage:?}: {said}");
    }
    // Nobody listens on port 1 of loopback.
    for client in [
        &["status"][..],
        &["objects"],
        &["show", "s3://inbox/x"],
        &["projections", "rebuild"],
        &["replay", "list"],
    ] {
        let mut arguments = vec!["--server", "http://127.0.0.1:1"];
        arguments.extend(client);
        let said = alone(&arguments).await.failed(1);
        assert!(said.contains("start one with `daybook serve`"), "{said}");
        assert!(said.contains("--server or DAYBOOK_SERVER"), "{said}");
    }
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    for (unknown, part) in [
        (
            &["show", "s3://inbox/nothing"][..],
            "no object s3://inbox/nothing",
        ),
        (&["show", "s3://inbox"], "s3://BUCKET/KEY"),
        (&["show", NO_EXECUTION], "no execution"),
        (&["redrive", NO_EXECUTION], NO_EXECUTION),
        (&["replay", "show", NO_EXECUTION], "no replay"),
        (
            &["replay", "start", "--pipeline", "nothing"],
            "no pipeline nothing",
        ),
    ] {
        let said = daybook(&server, unknown).await.failed(1);
        assert!(said.contains(part), "{unknown:?}: {said}");
    }
}

const NO_EXECUTION: &str = "00000000-0000-4000-8000-000000000000";
