mod intake;
mod queues;
mod remote;

use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::*;

/// A config that can run; the cases add to it or change it.
const SOUND: &str = r#"
[buckets.inbox]
path = "inbox"

[buckets.results]
path = "results"

[pipelines.uppercase]
on = [{ bucket = "inbox", suffix = ".txt" }]
run = "uppercase"

[functions.uppercase]
runtime = "builtin"
handler = "uppercase"
"#;

const MAP: &str = r#"{ "StartAt": "M", "States": { "M": { "Type": "Map", "End": true } } }"#;

const UNKNOWN_FUNCTION: &str = r#"{ "StartAt": "T", "States": { "T": {
  "Type": "Task",
  "Resource": "arn:aws:lambda:us-east-1:000000000000:function:missing",
  "End": true
} } }"#;

/// Loads a config from a folder of its own.
fn load(text: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("daybook.toml"), text).unwrap();
    std::fs::write(folder.path().join("map.json"), MAP).unwrap();
    std::fs::write(folder.path().join("missing.json"), UNKNOWN_FUNCTION).unwrap();
    std::fs::write(folder.path().join("words.json"), "these are words").unwrap();
    std::fs::write(folder.path().join("secret"), "from-a-file\n").unwrap();
    std::fs::write(folder.path().join("empty"), "\n").unwrap();
    Config::load(&folder.path().join("daybook.toml"), None)
}

/// A config with a mistake: where it is and what is wrong with it are parts of the message.
#[track_caller]
fn check(text: &str, place: &str, problem: &str) {
    match load(text) {
        Ok(_) => panic!("this should not load: {text}"),
        Err(error) => {
            let message = error.to_string();
            assert!(message.contains(place), "{place:?} is not in {message}");
            assert!(message.contains(problem), "{problem:?} is not in {message}");
            assert!(message.contains("daybook.toml"), "{message}");
        }
    }
}

/// [`SOUND`] with something replaced.
#[track_caller]
fn check_replaced(right: &str, wrong: &str, place: &str, problem: &str) {
    assert!(SOUND.contains(right), "{right}");
    check(&SOUND.replace(right, wrong), place, problem);
}

/// [`SOUND`] with tables added.
#[track_caller]
fn check_added(tables: &str, place: &str, problem: &str) {
    check(&format!("{SOUND}{tables}"), place, problem);
}

#[test]
fn a_sound_config_has_its_defaults() {
    let config = load(SOUND).unwrap();
    assert_eq!(config.region, "us-east-1");
    assert_eq!(config.shutdown_grace, Duration::from_secs(25));
    assert_eq!(config.data_dir.file_name().unwrap(), DATA_DIR);
    assert_eq!(config.blobs, BlobsAt::Folder(config.data_dir.join("blobs")));
    assert_eq!(
        config.store,
        LogUrl::Sqlite(config.data_dir.join("log.sqlite"))
    );
    assert!(!config.shares_log());
    assert_eq!(config.worker_lease, Duration::from_secs(15));
    assert!(config.keys.is_empty());
    let inbox = &config.buckets[&BucketName::parse("inbox").unwrap()];
    let BucketConfig::Local(inbox) = inbox else {
        panic!("a folder");
    };
    assert_eq!(inbox.retain, Duration::from_secs(30 * 24 * 3600));
    assert!(inbox.root.is_absolute());
    let [function] = &config.functions[..] else {
        panic!("one function");
    };
    assert_eq!(function.timeout, Duration::from_secs(30));
    assert_eq!(function.concurrency, 4);
    // By default a function reads what triggers it, and writes nothing.
    let policy = &config.policies[&function.name];
    assert_eq!(policy.read, ["inbox/*"]);
    assert_eq!(policy.write, Vec::<String>::new());
    assert!(config.on_success.is_empty());
}

#[test]
fn functions_have_limits_and_a_sandbox() {
    let config = load(SOUND).unwrap();
    let function = &config.functions[0];
    assert_eq!(config.sandbox, SandboxMode::Available);
    assert_eq!(function.sandbox, None);
    assert_eq!((function.processes, function.open_files), (1024, 1024));
    assert_eq!(function.tmp_bytes, 512 << 20);
    assert_eq!(function.connect, [443]);
    assert!(function.listen.is_empty() && function.max_invocations.is_none());

    let lines = "runtime = \"builtin\"\nmemory = \"1GiB\"\ncpu = 0.5\nprocesses = 20\n\
         open_files = 200\ntmp_size = \"1MiB\"\nmax_invocations = 7\nsandbox = \"off\"\n\
         max_memory_growth = \"2MiB\"\nconnect = [443, 5432]\nlisten = [8000]\n\
         readable = [\"models\"]\nsecrets = { TOKEN = { file = \"secret\" } }";
    let text = SOUND.replace("runtime = \"builtin\"", lines);
    let text = format!("{text}\n[runtimes]\nsandbox = \"required\"\n");
    let config = load(&text).unwrap();
    let function = &config.functions[0];
    assert_eq!(config.sandbox, SandboxMode::Required);
    assert_eq!(function.sandbox, Some(SandboxMode::Off));
    assert_eq!(function.memory_bytes, 1 << 30);
    assert_eq!(function.cpu, Some(0.5));
    assert_eq!((function.processes, function.open_files), (20, 200));
    assert_eq!(function.tmp_bytes, 1 << 20);
    assert_eq!(function.max_invocations, Some(7));
    assert_eq!(function.max_memory_growth_bytes, Some(2 << 20));
    assert_eq!(function.connect, [443, 5432]);
    assert_eq!(function.listen, [8000]);
    assert!(function.readable[0].ends_with("models"));
    assert!(config.secret_files[0].ends_with("secret"));
}

#[test]
fn files_with_secrets_are_known_wherever_they_are_named() {
    let text = format!(
        "{SOUND}\n[functions.a]\nruntime = \"http\"\nurl = \"https://f.example/\"\n\
         headers = {{ x-key = {{ file = \"secret\" }} }}\n\
         [functions.b]\nruntime = \"lambda\"\n\
         arn = \"arn:aws:lambda:eu-west-1:111122223333:function:f\"\n\
         access_key = \"AK\"\nsecret_key = {{ file = \"secret\" }}\n\
         [telemetry]\notlp_endpoint = \"http://127.0.0.1:9\"\n\
         otlp_headers = {{ Authorization = {{ file = \"secret\" }} }}\n"
    );
    let before = load(SOUND).unwrap().secret_files.len();
    let files = load(&text).unwrap().secret_files;
    assert_eq!(files.len(), before + 3, "{files:?}");
}

#[test]
fn outputs_may_wait_for_success() {
    let published = |when: &str| {
        let line = format!("runtime = \"builtin\"\npublish = \"{when}\"");
        let config = load(&SOUND.replace("runtime = \"builtin\"", &line)).unwrap();
        let shown = show(&config)["functions"]["uppercase"]["publish"].clone();
        (config.on_success.len(), shown)
    };
    assert_eq!(published("on-success"), (1, "on-success".into()));
    assert_eq!(published("immediately"), (0, "immediately".into()));
}

#[test]
fn the_data_directory_can_be_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("daybook.toml");
    std::fs::write(&path, SOUND).unwrap();
    let elsewhere = PathBuf::from("/somewhere/else");
    let config = Config::load(&path, Some(&elsewhere)).unwrap();
    assert_eq!(config.data_dir, elsewhere);
    assert_eq!(config.blobs, BlobsAt::Folder(elsewhere.join("blobs")));
    assert_eq!(config.store, LogUrl::Sqlite(elsewhere.join("log.sqlite")));
}

#[test]
fn a_config_that_is_not_there_is_named() {
    let error = Config::load(Path::new("/nowhere/daybook.toml"), None).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("/nowhere/daybook.toml"), "{message}");
}

#[test]
fn what_is_not_toml_or_not_known_is_shown_with_its_line() {
    check("[buckets", "line 1", "not understood");
    check_added(
        "[buckett.x]\npath = \"x\"",
        "line 15",
        "unknown field `buckett`",
    );
    check_added("[limits]\nmax_conections = 5", "max_conections", "unknown");
    check_replaced(
        "runtime = \"builtin\"",
        "runtime = \"builtin\"\ntimout = \"5s\"",
        "timout",
        "unknown field",
    );
    check_replaced("path = \"inbox\"", "paths = 1", "paths", "unknown field");
    check_added(
        "[buckets.\"in box\"]\npath = \"x\"",
        "\"in box\"",
        "bucket name",
    );
    check_added(
        "[limits]\nmax_connections = \"many\"",
        "limits.max_connections",
        "invalid type: string, expected usize",
    );
}

#[test]
fn buckets_do_not_lie_within_each_other() {
    let problem = "lie within each other";
    check_added(
        "[buckets.same]\npath = \"inbox\"",
        "buckets.same.path",
        problem,
    );
    check_added(
        "[buckets.sub]\npath = \"inbox/sub\"",
        "buckets.sub.path",
        problem,
    );
    check_added("[buckets.zone]\npath = \".\"", "buckets.zone.path", problem);
}

/// [`SOUND`] with `results` in another store.
fn upstream(table: &str) -> String {
    SOUND.replace("path = \"results\"", &format!("upstream = {{ {table} }}"))
}

#[test]
fn a_bucket_may_lie_in_another_store() {
    let config = load(&upstream("bucket = \"company-raw\"")).unwrap();
    let results = &config.buckets[&BucketName::parse("results").unwrap()];
    let BucketConfig::Upstream(results) = results else {
        panic!("another store");
    };
    assert_eq!(results.bucket, "company-raw");
    assert!(results.checksums);
    assert_eq!(results.store.region, "us-east-1");
    assert_eq!(results.store.endpoint, None);
    assert!(!results.store.path_style);
    assert_eq!(results.store.key, None);

    let text = upstream(
        "bucket = \"b\", endpoint = \"http://127.0.0.1:9\", access_key = \"AK\", \
         secret_key = { file = \"secret\" }, region = \"r\", checksums = false",
    );
    let limits = "[limits]\nupstream_read_timeout = \"2s\"\nupstream_part_size = \"16MiB\"";
    let config = load(&format!("{text}{limits}")).unwrap();
    let bounds = &config.gateway_limits.upstream;
    assert_eq!(bounds.read_timeout, Duration::from_secs(2));
    assert_eq!(bounds.part_bytes, 16 << 20);
    let results = &config.buckets[&BucketName::parse("results").unwrap()];
    let BucketConfig::Upstream(results) = results else {
        panic!("another store");
    };
    assert!(results.store.path_style);
    let key = results.store.key.as_ref().unwrap();
    assert_eq!(key.secret_key, "from-a-file");
    let (debug, shown) = (format!("{config:#?}"), show(&config).to_string());
    for text in [debug, shown] {
        assert!(text.contains("\"AK\""), "{text}");
        assert!(!text.contains("from-a-file"), "{text}");
    }
}

#[test]
fn a_bucket_lies_in_one_place() {
    let at = "buckets.results";
    let either = "give either path";
    check_replaced("path = \"results\"", "retain = \"1d\"", at, either);
    let both = "path = \"results\"\nupstream = { bucket = \"b\" }";
    check_replaced("path = \"results\"", both, at, either);
    let retained = "upstream = { bucket = \"b\" }\nretain = \"1d\"";
    check_replaced(
        "path = \"results\"",
        retained,
        "buckets.results.retain",
        "for buckets in folders",
    );
    let twice = format!(
        "{}[buckets.again]\nupstream = {{ bucket = \"b\" }}",
        upstream("bucket = \"b\"")
    );
    check(&twice, "buckets.results.upstream", "the same bucket");
    for (table, place, problem) in [
        ("bucket = \"\"", "upstream.bucket", "name the bucket"),
        (
            "region = \"r\"",
            "buckets.results.upstream",
            "missing field",
        ),
        ("bucket = \"b\", buckett = 1", "buckett", "unknown field"),
        (
            "bucket = \"b\", endpoint = \"127.0.0.1:9\"",
            "upstream.endpoint",
            "http://HOST:PORT",
        ),
        (
            "bucket = \"b\", endpoint = \"https://a:b@c\"",
            "upstream.endpoint",
            "without a path or a password",
        ),
        (
            "bucket = \"b\", access_key = \"AK\"",
            "buckets.results.upstream",
            "belong together",
        ),
        (
            "bucket = \"b\", profile = \"p\", access_key = \"AK\", secret_key = \"s\"",
            "upstream.profile",
            "not both",
        ),
        (
            "bucket = \"b\", access_key = \"AK\", secret_key = { file = \"nowhere\" }",
            "upstream.secret_key",
            "nowhere cannot be read",
        ),
    ] {
        check(&upstream(table), place, problem);
    }
}

#[test]
fn durations_are_read_with_their_units() {
    check_replaced(
        "path = \"inbox\"",
        "path = \"inbox\"\nretain = \"a month\"",
        "buckets.inbox.retain",
        "\"a month\" is no duration",
    );
    for key in ["timeout", "init_timeout", "idle_timeout"] {
        check_replaced(
            "runtime = \"builtin\"",
            &format!("runtime = \"builtin\"\n{key} = \"30\""),
            &format!("functions.uppercase.{key}"),
            "\"30\" is no duration",
        );
    }
    for key in [
        "shutdown_grace",
        "upload_retain",
        "settle_after",
        "rescan_every",
        "sweep_every",
        "journal_flush_every",
        "upstream_connect_timeout",
        "upstream_read_timeout",
        "upstream_finish_timeout",
    ] {
        let place = format!("limits.{key}");
        check_added(
            &format!("[limits]\n{key} = \"soon\""),
            &place,
            "no duration",
        );
    }
}

#[test]
fn a_pipeline_names_what_there_is() {
    let place = "pipelines.uppercase";
    check_replaced(
        "bucket = \"inbox\",",
        "bucket = \"outbox\",",
        "pipelines.uppercase.on",
        "[buckets.outbox]",
    );
    check_replaced(
        "on = [{ bucket = \"inbox\", suffix = \".txt\" }]",
        "on = []",
        "pipelines.uppercase.on",
        "at least one bucket",
    );
    check_replaced(
        "run = \"uppercase\"",
        "run = \"lowercase\"",
        place,
        "[functions.lowercase]",
    );
    check_replaced("run = \"uppercase\"", "", place, "give either run");
    let run = "run = \"uppercase\"";
    check_replaced(
        run,
        &format!("{run}\ndefinition = \"map.json\""),
        place,
        "give either run",
    );
    let place = "pipelines.uppercase.definition";
    check_replaced(
        run,
        "definition = \"nowhere.json\"",
        place,
        "nowhere.json cannot be read",
    );
    check_replaced(
        run,
        "definition = \"words.json\"",
        place,
        "words.json is not JSON",
    );
    check_replaced(run, "definition = \"map.json\"", place, "/States/M/Type");
    check_replaced(
        run,
        "definition = \"map.json\"",
        place,
        "type Map do not run",
    );
    check_replaced(
        run,
        "definition = \"missing.json\"",
        "pipelines.uppercase",
        "[functions.missing]",
    );
}

#[test]
fn a_function_has_all_it_needs() {
    let check = |table: &str, place: &str, problem: &str| {
        let tables = format!("[functions.other]\n{table}");
        check_added(&tables, place, problem);
    };
    check(
        "handler = \"a.b\"",
        "functions.other",
        "missing field `runtime`",
    );
    check(
        "runtime = \"cobol\"",
        "functions.other.runtime",
        "\"cobol\" is not one of",
    );
    check(
        "runtime = \"python\"\nhandler = \"a.b\"",
        "functions.other.code",
        "name the folder",
    );
    check(
        "runtime = \"nodejs\"\ncode = \".\"",
        "functions.other.handler",
        "name the handler",
    );
    check(
        "runtime = \"builtin\"",
        "functions.other.handler",
        "name the handler",
    );
    let sound = "runtime = \"builtin\"\nhandler = \"uppercase\"\n";
    let with = |line: &str| format!("{sound}{line}");
    check(
        &with("concurrency = 0"),
        "functions.other.concurrency",
        "at least one",
    );
    check(
        &with("publish = \"later\""),
        "functions.other.publish",
        "neither",
    );
    for (line, key, says) in [
        ("memory = 0", "memory", "with 0 nothing runs"),
        ("tmp_size = \"0B\"", "tmp_size", "with 0 nothing runs"),
        ("processes = 0", "processes", "with 0 nothing runs"),
        ("open_files = 10", "open_files", "at least 64"),
        ("cpu = 0.0", "cpu", "0.5"),
        ("max_invocations = 0", "max_invocations", "any number"),
        ("sandbox = \"on\"", "sandbox", "required, available, off"),
    ] {
        check(&with(line), &format!("functions.other.{key}"), says);
    }
    check(&with("read = [\"\"]"), "functions.other.read", "bucket/*");
    check(
        &with("write = [\"inbox/*\", \"\"]"),
        "functions.other.write",
        "bucket/*",
    );
    check(
        &with("memory = \"much\""),
        "functions.other.memory",
        "invalid value: string",
    );
}

#[test]
fn buckets_that_are_made_over_s3_lie_in_the_data_directory() {
    assert_eq!(load(SOUND).unwrap().created, None);
    let config = load(&format!("{SOUND}[s3]\ncreate_buckets = true")).unwrap();
    let created = config.created.unwrap();
    assert_eq!(created.root, config.data_dir.join("buckets"));
    assert_eq!(created.retain, Duration::from_secs(30 * 24 * 3600));
    // A pattern may name one that is not there yet.
    let with_key = "[s3]\ncreate_buckets = true\n[s3.keys.ada]\naccess_key = \"AK\"\n\
                    secret_key = \"secret\"\nread = [\"shared/*\"]";
    let config = load(&format!("{SOUND}{with_key}")).unwrap();
    assert_eq!(config.keys[0].read, ["shared/*"]);
    check_added(
        "[s3]\ncreate_buckets = true\ncreated_retain = \"long\"",
        "s3.created_retain",
        "long",
    );
}

#[test]
fn secrets_that_cannot_be_had_say_what_to_do() {
    let key = |secret: &str| format!("[s3.keys.ada]\naccess_key = \"AK\"\nsecret_key = {secret}");
    let check = |secret: &str, problem: &str| {
        check_added(&key(secret), "s3.keys.ada.secret_key", problem);
    };
    check(
        "{ env = \"DAYBOOK_TEST_IS_NOT_SET\" }",
        "DAYBOOK_TEST_IS_NOT_SET is not set",
    );
    check("{ file = \"nowhere\" }", "nowhere cannot be read");
    check("{ file = \"empty\" }", "the secret is empty");
    check("\"\"", "the secret is empty");
    check_added(
        &key("{ command = \"pass\" }"),
        "secret_key",
        "{ env = \"NAME\" }",
    );
    check_added(
        "[s3.keys.ada]\naccess_key = \"\"\nsecret_key = \"x\"",
        "s3.keys.ada.access_key",
        "empty",
    );
    check_added(
        "[functions.other]\nruntime = \"builtin\"\nhandler = \"uppercase\"\n\
         secrets = { TOKEN = { file = \"nowhere\" } }",
        "functions.other.secrets.TOKEN",
        "nowhere cannot be read",
    );
}

/// Everything in a config that must not be seen.
const SECRETS: [&str; 4] = ["in-the-config", "from-a-file", "a-token", "a-value"];

#[test]
fn secrets_are_read_and_never_shown() {
    let tables = r#"
environment = { STAGE = "a-value" }
secrets = { TOKEN = "a-token", FILE = { file = "secret" } }

[s3.keys.text]
access_key = "AKTEXT"
secret_key = "in-the-config"

[s3.keys.file]
access_key = "AKFILE"
secret_key = { file = "secret" }
"#;
    let config = load(&format!("{SOUND}{tables}")).unwrap();
    let secret_of = |name: &str| {
        let key = config.keys.iter().find(|key| key.name == name).unwrap();
        key.secret_key.clone()
    };
    assert_eq!(secret_of("text"), "in-the-config");
    assert_eq!(secret_of("file"), "from-a-file");
    let secrets = &config.functions[0].secrets;
    assert_eq!(secrets["TOKEN"].expose_secret(), "a-token");
    assert_eq!(secrets["FILE"].expose_secret(), "from-a-file");

    let (debug, shown) = (format!("{config:#?}"), show(&config).to_string());
    for text in [&debug, &shown] {
        for secret in SECRETS {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
        assert!(text.contains("AKTEXT") && text.contains("TOKEN"), "{text}");
    }
}

#[test]
fn a_message_about_a_secret_does_not_hold_it() {
    // The file's shape is printed by nobody today; it must stay harmless if somebody does.
    let text = format!(
        "{SOUND}secrets = {{ TOKEN = \"a-token\" }}\n\
         [s3.keys.a]\naccess_key = \"AK\"\nsecret_key = \"in-the-config\""
    );
    let file: file::ConfigFile = toml::from_str(&text).unwrap();
    let debug = format!("{file:?}");
    for secret in SECRETS {
        assert!(!debug.contains(secret), "{secret} is in {debug}");
    }
}

#[test]
fn a_message_about_the_shape_does_not_hold_the_line() {
    let planted = [
        // Not TOML at all, on the line of a secret.
        "[s3.keys.a]\naccess_key = \"AK\"\nsecret_key = \"in-the-config",
        "[s3.keys.a]\nsecret_key = \"in-the-config\" access_key = \"AK\"",
        "[s3.keys.a]\nsecret_key = in-the-config",
        // Of the wrong shape.
        "[s3.keys.a]\naccess_key = [\"in-the-config\"]\nsecret_key = \"x\"",
        "[s3.keys.a]\nsecret_key = [\"in-the-config\"]",
        "[s3]\nkeys = \"in-the-config\"",
        "[limits]\nmax_connections = \"in-the-config, expected \"",
    ];
    for planted in planted {
        let error = load(&format!("{SOUND}{planted}")).unwrap_err();
        let message = format!("{:#}", anyhow::Error::from(error));
        assert!(!message.contains("in-the-config"), "{message}");
        assert!(
            message.contains("line 1") && message.contains("column"),
            "{message}"
        );
    }
    let number = "[s3.keys.a]\naccess_key = 7715422\nsecret_key = \"x\"";
    let message = load(&format!("{SOUND}{number}")).unwrap_err().to_string();
    assert!(!message.contains("7715422"), "{message}");
    assert!(message.contains("s3.keys.a.access_key"), "{message}");
}

#[test]
fn no_bucket_shares_files_with_the_ledger() {
    let problem = "lie within each other";
    for path in [
        ".",
        "daybook-data",
        "daybook-data/in",
        "inbox2/../daybook-data",
        "./nowhere/../daybook-data/blobs/x",
    ] {
        check_replaced(
            "path = \"results\"",
            &format!("path = \"{path}\""),
            "buckets.",
            problem,
        );
    }
    check_added(
        "[blobs]\nurl = \"results/blobs\"",
        "buckets.results.path",
        "blobs",
    );

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("daybook.toml");
    std::fs::write(&path, SOUND).unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    std::os::unix::fs::symlink("data", folder.path().join("results")).unwrap();
    let data_dir = folder.path().join("data/ledger");
    let error = Config::load(&path, Some(&data_dir)).unwrap_err();
    assert!(
        error.to_string().contains("buckets.results.path"),
        "{error}"
    );
    std::os::unix::fs::symlink("inbox/deep", folder.path().join("link")).unwrap();
    std::fs::create_dir_all(folder.path().join("inbox/deep")).unwrap();
    let data_dir = folder.path().join("link/ledger");
    let error = Config::load(&path, Some(&data_dir)).unwrap_err();
    assert!(error.to_string().contains("buckets.inbox.path"), "{error}");
}

#[test]
fn buckets_are_told_apart_by_where_they_are() {
    check_added(
        "[buckets.same]\npath = \"elsewhere/../inbox\"",
        "buckets.same.path",
        "lie within each other",
    );
}

#[test]
fn no_function_packs_the_ledger() {
    check_added(
        "[functions.other]\nruntime = \"python\"\ncode = \".\"\nhandler = \"a.b\"",
        "functions.other.code",
        "holds the data directory",
    );
}

#[test]
fn nothing_is_no_limit() {
    for key in ["timeout", "init_timeout", "idle_timeout"] {
        check_replaced(
            "runtime = \"builtin\"",
            &format!("runtime = \"builtin\"\n{key} = \"0s\""),
            &format!("functions.uppercase.{key}"),
            "longer than nothing",
        );
    }
    for key in [
        "upload_retain",
        "settle_after",
        "rescan_every",
        "sweep_every",
        "journal_flush_every",
        "upstream_connect_timeout",
        "upstream_read_timeout",
        "upstream_finish_timeout",
    ] {
        let place = format!("limits.{key}");
        check_added(
            &format!("[limits]\n{key} = \"0ms\""),
            &place,
            "longer than nothing",
        );
    }
    for (key, nothing) in [
        ("max_connections", "0"),
        ("list_unseen", "0"),
        ("max_put_size", "\"0B\""),
        ("max_staged", "0"),
    ] {
        let place = format!("limits.{key}");
        check_added(
            &format!("[limits]\n{key} = {nothing}"),
            &place,
            "lets nothing through",
        );
    }
    for (line, place, problem) in [
        (
            "upstream_attempts = 0",
            "limits.upstream_attempts",
            "one attempt",
        ),
        (
            "upstream_part_size = \"1MiB\"",
            "limits.upstream_part_size",
            "between 5 MiB and 5 GiB",
        ),
        (
            "journaled_size = \"1025KiB\"",
            "limits.journaled_size",
            "at most \"1MiB\"",
        ),
    ] {
        check_added(&format!("[limits]\n{line}"), place, problem);
    }
    for size in ["1023KiB", "2049MiB", "16GiB"] {
        check_added(
            &format!("[store]\ncache_size = \"{size}\""),
            "store.cache_size",
            "from \"1MiB\" to \"2GiB\"",
        );
    }
    let small = load(&format!("{SOUND}[store]\ncache_size = \"1MiB\"")).unwrap();
    assert_eq!(small.store_cache_bytes, 1 << 20);
    let without = load(&format!("{SOUND}[limits]\njournaled_size = \"0B\"")).unwrap();
    assert_eq!(without.gateway_limits.journaled_bytes, 0);
    // Nothing is kept, and nobody is waited for: both can be meant.
    let text = SOUND.replace("path = \"inbox\"", "path = \"inbox\"\nretain = \"0s\"");
    load(&format!("{text}[limits]\nshutdown_grace = \"0s\"")).unwrap();
}

#[test]
fn each_key_is_its_own() {
    check_added(
        "[s3.keys.a]\naccess_key = \"AK\"\nsecret_key = \"x\"\n\
         [s3.keys.b]\naccess_key = \"AK\"\nsecret_key = \"y\"",
        "s3.keys.b.access_key",
        "s3.keys.a has the same",
    );
}

#[test]
fn blobs_are_in_a_folder() {
    for url in [
        "s3://bucket/x",
        "https://host/x",
        "file://host/x",
        "file:///a%20b",
    ] {
        let table = format!("[blobs]\nurl = \"{url}\"");
        check_added(&table, "blobs.url", "file:///PATH");
    }
    let load = |url: &str| {
        let config = load(&format!("{SOUND}[blobs]\nurl = \"{url}\"")).unwrap();
        match config.blobs {
            BlobsAt::Folder(folder) => folder,
            BlobsAt::Log => panic!("a folder was asked for"),
        }
    };
    assert_eq!(load("file:///srv/blobs"), PathBuf::from("/srv/blobs"));
    assert_eq!(load("/srv/blobs"), PathBuf::from("/srv/blobs"));
    assert!(load("blobs").is_absolute());
}

#[test]
fn a_pattern_names_a_bucket() {
    let with = |line: &str| format!("{}{line}", SOUND);
    for pattern in [
        "inbocks/*",
        "inbox",
        "/inbox/*",
        "s3://inbox/*",
        "inbo/*",
        "outbox*",
    ] {
        for key in ["read", "write"] {
            let text = with(&format!("{key} = [\"inbox/*\", \"{pattern}\"]"));
            check(
                &text,
                &format!("functions.uppercase.{key}"),
                "inbox, results",
            );
        }
        let key =
            format!("[s3.keys.a]\naccess_key = \"AK\"\nsecret_key = \"x\"\nread = [\"{pattern}\"]");
        check_added(&key, "s3.keys.a.read", "inbox, results");
    }
    load(&with(
        "read = [\"*\", \"*/x\", \"in*\", \"inbox/a.txt\", \"results/*.csv\"]",
    ))
    .unwrap();
}

#[test]
fn a_log_may_be_shared_and_keeps_the_blobs_then() {
    let config = load(&format!(
        "{SOUND}[store]\nurl = \"postgres://ada:pass%21@db/daybook\"\n[limits]\nworker_lease = \"5s\""
    ))
    .unwrap();
    assert!(config.shares_log());
    assert_eq!(config.blobs, BlobsAt::Log);
    assert_eq!(config.worker_lease, Duration::from_secs(5));
    let shown = show(&config).to_string();
    assert!(shown.contains("postgres://ada:"), "{shown}");
    assert!(!shown.contains("pass%21"), "{shown}");
    assert!(!format!("{config:?}").contains("pass%21"));
}

#[test]
fn a_log_that_cannot_be_is_refused_with_those_that_can() {
    check_added("[store]\nurl = \"mysql://db\"", "store.url", "postgres://");
    check_added(
        "[store]\nurl = { env = \"DAYBOOK_TEST_IS_NOT_SET\" }",
        "store.url",
        "DAYBOOK_TEST_IS_NOT_SET is not set",
    );
    check_added(
        "[store]\nurl = \"esdb://localhost:2113?tls=false\"",
        "blobs.url",
        "keeps no blobs",
    );
    check_added(
        "[limits]\nworker_lease = \"200ms\"",
        "limits.worker_lease",
        "under one second",
    );
}

#[test]
fn a_bucket_says_how_often_it_is_reconciled() {
    let with = |table: &str| {
        let path = "path = \"inbox\"";
        SOUND.replace(path, &format!("{path}\nreconcile = {{ {table} }}"))
    };
    let config = load(&with("every = \"1h\", rate = 500")).unwrap();
    let schedule = config.reconciles.values().next().unwrap();
    assert_eq!(schedule.every, Duration::from_secs(3600));
    assert_eq!((schedule.dry_run, schedule.rate), (false, Some(500)));
    assert_eq!(config.reconciles.len(), 1);
    assert_eq!(
        show(&config)["buckets"]["inbox"]["reconcile"]["every"],
        "1h"
    );
    let at = "buckets.inbox.reconcile";
    check(&with("every = \"soon\""), at, "no duration");
    check(&with("every = \"10ms\""), at, "at least 1s");
    check(&with("every = \"1h\", rate = 0"), at, "never end");
}

#[test]
fn the_bounds_of_reconciles_can_be_moved() {
    let with = |table: &str| format!("{SOUND}[reconcile]\n{table}\n");
    let config = load(&with("grace = \"0s\"\nattempts = 3\nlooks = 2")).unwrap();
    let limits = config.reconcile_limits;
    assert_eq!(limits.grace, Duration::ZERO);
    assert_eq!((limits.attempts, limits.looks), (3, 2));
    assert_eq!(show(&config)["reconcile"]["keys_at_once"], 64);
    let at = "reconcile.";
    check(&with("retry_after = \"0s\""), at, "longer than nothing");
    check(&with("keys_waiting = 0"), at, "nothing is ever done");
    check(&with("findings_at_once = 5000"), at, "the most");
}
