//! Functions that run elsewhere.

use std::time::Duration;

use super::*;

const ARN: &str = "arn:aws:lambda:eu-central-1:123456789012:function:thumbs:live";

fn lambda(more: &str) -> String {
    let table = format!("[functions.far]\nruntime = \"lambda\"\narn = \"{ARN}\"\n");
    format!("{SOUND}{table}{more}\n")
}

fn http(more: &str) -> String {
    let table = "[functions.far]\nruntime = \"http\"\nurl = \"https://f.example/x\"\n";
    format!("{SOUND}{table}{more}\n")
}

#[test]
fn a_lambda_function_is_named_by_its_arn() {
    let config = load(&lambda("timeout = \"5s\"\nconcurrency = 9")).unwrap();
    assert_eq!(config.remote_connect_timeout, Duration::from_secs(5));
    let shown = show(&config)["functions"]["far"].clone();
    let expected = serde_json::json!({
        "runtime": "lambda", "arn": ARN, "timeout": "5s", "concurrency": 9, "queue": 1000,
        "endpoint": null, "profile": null, "access_key": null,
    });
    assert_eq!(shown, expected);
    // Nothing that the gateway would hold it to.
    let [far, _] = &config.functions[..] else {
        panic!("two functions");
    };
    assert!(!config.policies.contains_key(&far.name));
}

#[test]
fn an_http_function_shows_no_secret() {
    let config = load(&http(
        "headers = { x-functions-key = { file = \"secret\" } }\nmode = \"structured\"",
    ));
    let config = config.unwrap();
    let shown = show(&config)["functions"]["far"].clone();
    let expected = serde_json::json!({
        "runtime": "http", "url": "https://f.example/x", "timeout": "30s", "concurrency": 4,
        "queue": 1000,
        "headers": ["x-functions-key"], "mode": "structured", "private_addresses": false,
    });
    assert_eq!(shown, expected);
    assert!(!format!("{config:?}").contains("from-a-file"));
}

#[test]
fn where_it_is_has_to_be_said() {
    for (runtime, key) in [("lambda", "arn"), ("http", "url")] {
        let table = format!("[functions.far]\nruntime = \"{runtime}\"\n");
        check_added(&table, &format!("functions.far.{key}"), "name");
    }
    let at = "functions.far.arn";
    check(&lambda("").replace(ARN, "thumbs"), at, "is no ARN");
    let odd = ARN.replace("arn:aws:", "arn:aws-iso:");
    check(
        &lambda("").replace(ARN, &odd),
        "functions.far.endpoint",
        "give its URL",
    );
    check(
        &lambda("endpoint = \"host\""),
        "functions.far.endpoint",
        "https://HOST",
    );
    check(
        &lambda("access_key = \"AK\""),
        "functions.far",
        "belong together",
    );
    let url = http("").replace("https://f.example/x", "https://me:pw@f.example/");
    check(&url, "functions.far.url", "as a header");
    check(&http("mode = \"odd\""), "functions.far.mode", "structured");
    check(
        &http("headers = { ce-id = \"1\" }"),
        "functions.far.headers",
        "ce-id",
    );
    check(
        &http("headers = { x = { file = \"empty\" } }"),
        "functions.far.headers.x",
        "empty",
    );
    check(
        &http("concurrency = 0"),
        "functions.far.concurrency",
        "at least one",
    );
}

#[test]
fn what_the_gateway_or_a_process_would_have_to_hold_is_refused() {
    for (line, key, why) in [
        (
            "publish = \"on-success\"",
            "publish",
            "does not pass the gateway",
        ),
        ("read = [\"inbox/*\"]", "read", "does not pass the gateway"),
        (
            "write = [\"results/*\"]",
            "write",
            "does not pass the gateway",
        ),
        ("memory = \"1GiB\"", "memory", "set where it runs"),
        ("code = \"code\"", "code", "set where it runs"),
        ("handler = \"a.b\"", "handler", "set where it runs"),
        ("init_timeout = \"1s\"", "init_timeout", "set where it runs"),
        ("idle_timeout = \"1s\"", "idle_timeout", "set where it runs"),
        (
            "environment = { A = \"1\" }",
            "environment",
            "set where it runs",
        ),
        ("secrets = { A = \"1\" }", "secrets", "set where it runs"),
    ] {
        let at = format!("functions.far.{key}");
        check(&lambda(line), &at, why);
        check(&http(line), &at, why);
    }
    load(&http("publish = \"immediately\"")).unwrap();
}

#[test]
fn keys_of_one_runtime_are_refused_with_another() {
    check(
        &http(&format!("arn = \"{ARN}\"")),
        "functions.far.arn",
        "runtime = \"lambda\"",
    );
    check(
        &lambda("url = \"https://f.example/\""),
        "functions.far.url",
        "runtime = \"http\"",
    );
    check_replaced(
        "runtime = \"builtin\"",
        "runtime = \"builtin\"\nprivate_addresses = true",
        "functions.uppercase.private_addresses",
        "runtime = \"http\"",
    );
    let line = "[limits]\nremote_connect_timeout = \"0s\"";
    check_added(line, "limits.remote_connect_timeout", "longer than nothing");
}
