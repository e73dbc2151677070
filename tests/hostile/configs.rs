//! A config with a mistake names the place, for `config check` and for `serve`.

use crate::support::{Ledger, OPERATOR, UPPERCASE, run};

/// A definition with a state that does not run.
const CHOICE: &str = r#"{
  "StartAt": "Which",
  "States": { "Which": { "Type": "Choice", "Choices": [], "Default": "Which" } }
}"#;

#[tokio::test]
async fn a_mistake_is_refused_with_its_place() {
    // The mistake: what is replaced in a config that can run, by what; and what is said of it.
    let mistakes: [(&str, &str, &[&str]); 9] = [
        (
            "runtime = \"builtin\"",
            "runtime = \"builtin\"\ntimout = \"5s\"",
            &["unknown field", "timout", "line"],
        ),
        (
            "bucket = \"inbox\", suffix",
            "bucket = \"inbocks\", suffix",
            &["pipelines.uppercase.on", "no bucket inbocks"],
        ),
        (
            "runtime = \"builtin\"",
            "runtime = \"cobol\"",
            &["functions.uppercase.runtime", "cobol", "nodejs, python"],
        ),
        (
            "runtime = \"builtin\"\nhandler = \"uppercase\"",
            "runtime = \"python\"\ncode = \".\"",
            &["functions.uppercase.handler", "name the handler"],
        ),
        (
            "run = \"uppercase\"",
            "run = \"uppercase\"\ndefinition = \"choice.asl.json\"",
            &["pipelines.uppercase", "either run", "or definition"],
        ),
        (
            "run = \"uppercase\"",
            "run = \"lowercase\"",
            &["pipelines.uppercase", "no function lowercase"],
        ),
        (
            "run = \"uppercase\"",
            "definition = \"choice.asl.json\"",
            &[
                "pipelines.uppercase.definition",
                "/States/Which/Type",
                "Choice",
            ],
        ),
        (
            "handler = \"uppercase\"",
            "handler = \"uppercase\"\ntimeout = \"soon\"",
            &["functions.uppercase.timeout", "soon", "30s"],
        ),
        (
            "runtime = \"builtin\"\nhandler = \"uppercase\"",
            "runtime = \"provided\"\ncode = \"nowhere\"",
            &["uppercase", "nowhere", "is not there"],
        ),
    ];
    for (right, wrong, said) in mistakes {
        check(right, wrong, said).await;
    }
}

async fn check(right: &str, wrong: &str, expected: &[&str]) {
    let config = format!("{UPPERCASE}{OPERATOR}");
    assert!(config.contains(right), "{right}");
    let ledger = Ledger::new(&config.replace(right, wrong));
    ledger.write("choice.asl.json", CHOICE);
    let path = ledger.config().display().to_string();

    let checked = run(&["config", "check", "--config", &path]).await;
    let text = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(checked.status.code(), Some(3), "{wrong}: {text}");
    // Checking changes nothing.
    assert!(!ledger.path("inbox").exists(), "{wrong}");
    assert!(!ledger.path("daybook-data").exists(), "{wrong}");
    let (code, said) = ledger.start_refused().await;
    assert_eq!(code, 1, "{wrong}: {said}");
    for part in expected {
        assert!(text.contains(part), "{wrong}: {part:?} is not in {text}");
        assert!(said.contains(part), "{wrong}: {part:?} is not in {said}");
    }
}

#[tokio::test]
async fn a_config_without_mistakes_can_run() {
    let ledger = Ledger::uppercase();
    let path = ledger.config().display().to_string();
    let checked = run(&["config", "check", "--config", &path]).await;
    assert_eq!(checked.status.code(), Some(0));
    assert!(!ledger.path("inbox").exists());
    let shown = run(&["config", "show", "--config", &path]).await;
    assert_eq!(shown.status.code(), Some(0));
    let text = String::from_utf8_lossy(&shown.stdout);
    assert!(text.contains("AKTEST"), "{text}");
    assert!(!text.contains("a-secret-of-the-tests"), "{text}");
}
