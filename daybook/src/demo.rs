//! `daybook demo`: a temporary ledger with everything in process, a handful of files put over S3
//! (one that fails on purpose among them), and what happened to them.
//!
//! It asks the same GraphQL as everybody else, and checks what it shows: when something that it
//! tells did not happen, it fails.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use daybook_s3_gateway::client::S3Client;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::actor;
use crate::cli::DemoArgs;
use crate::client::Client;
use crate::commands::objects;
use crate::config::Config;
use crate::output::{self, text};
use crate::roles::Roles;
use crate::server::Server;
use crate::timeline;

/// Where a kept demo is, if nothing else is said.
const KEPT: &str = "daybook-demo";

/// How long the demo waits for its handful of outcomes.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it asks meanwhile.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// The objects; the last one is no text, and fails on purpose.
const OBJECTS: [(&str, &[u8]); 5] = [
    ("hello.txt", b"hello, daybook\n"),
    (
        "poem.txt",
        "the book of original entry,\nin order, and never altered\n".as_bytes(),
    ),
    (
        "reports/2026 q1.txt",
        "revenue: 10 €\ncosts: 9 €\n".as_bytes(),
    ),
    ("empty.txt", b""),
    ("broken.txt", b"not text: \xff\xfe\n"),
];

const CONFIG: &str = r#"# Written by `daybook demo`.
[buckets.inbox]
path = "inbox"
[buckets.results]
path = "results"

[pipelines.uppercase]
on = [{ bucket = "inbox", suffix = ".txt" }]
run = "uppercase"

[functions.uppercase]
runtime = "builtin"      # or nodejs, python, provided; see the examples
handler = "uppercase"
read = ["inbox/*"]
write = ["results/*"]
"#;

pub(crate) async fn run(args: DemoArgs) -> Result<()> {
    let home = Home::make(&args)?;
    let config_path = home.path().join("daybook.toml");
    std::fs::write(&config_path, CONFIG).context("the demo's config cannot be written")?;
    let config = Config::load(&config_path, None)?;
    let progress = Progress::new();
    progress.step("starting a ledger");
    let loopback = "127.0.0.1:0".parse()?;
    let server = Server::start(config, Roles::ALL, loopback, loopback, actor::name()).await?;
    let told = tell(&server, &progress).await;
    progress.done();
    server.stop().await;
    let told = format!("{}\n{}", told?, how_to_go_on(&home, &config_path));
    // Removed before anything is printed: a reader that has gone ends the program.
    drop(home);
    output::line(told);
    Ok(())
}

/// Does everything, and tells it.
async fn tell(server: &Server, progress: &Progress) -> Result<String> {
    let client = Client::new(&format!("http://{}", server.api));
    let (s3, key) = server
        .s3()
        .context("a server with all roles has a gateway")?;
    let s3 = S3Client::new(
        &format!("http://{s3}"),
        "us-east-1",
        &key.access_key,
        &key.secret_key,
    );
    for (name, body) in OBJECTS {
        progress.step(&format!("putting s3://inbox/{name}"));
        s3.put("inbox", name, Bytes::from_static(body)).await?;
    }
    progress.step("waiting for the outcomes");
    wait_for_outcomes(&client).await?;
    check_results(&s3).await?;

    let rows = objects::fetch(&client, &json!({}), 100).await?;
    let mut told = String::new();
    writeln!(
        told,
        "Five files were put into the bucket `inbox` over S3. A pipeline runs the function `uppercase`"
    )?;
    writeln!(
        told,
        "for each and its results land in `results`, where no pipeline wants them: UNMATCHED. What the\nledger knows of all that:\n"
    )?;
    writeln!(
        told,
        "{}\n",
        indented(&output::table(&rows, objects::COLUMNS))
    )?;
    writeln!(
        told,
        "The story of one of them (daybook show s3://inbox/hello.txt):\n"
    )?;
    writeln!(
        told,
        "{}\n",
        indented(&timeline::object(&client, "inbox", "hello.txt").await?)
    )?;
    writeln!(
        told,
        "The one that failed, and why (daybook show s3://inbox/broken.txt):\n"
    )?;
    let failed = timeline::object(&client, "inbox", "broken.txt").await?;
    ensure!(
        failed.contains("NotText"),
        "the failure of broken.txt is not told:\n{failed}"
    );
    writeln!(told, "{}\n", indented(&failed))?;
    writeln!(
        told,
        "Where a result came from (daybook show s3://results/hello.txt):\n"
    )?;
    let result = timeline::object(&client, "results", "hello.txt").await?;
    ensure!(
        result.contains("uppercase"),
        "the origin of results/hello.txt is not told:\n{result}"
    );
    write!(told, "{}", indented(&result))?;
    Ok(told)
}

async fn wait_for_outcomes(client: &Client) -> Result<()> {
    let start = Instant::now();
    loop {
        let rows = objects::fetch(client, &json!({ "bucket": "inbox" }), 100).await?;
        let over = |row: &Value| matches!(text(&row["status"]).as_str(), "SUCCEEDED" | "FAILED");
        if rows.len() == OBJECTS.len() && rows.iter().all(over) {
            return check_statuses(&rows);
        }
        if start.elapsed() > PATIENCE {
            bail!(
                "not all outcomes came within {PATIENCE:?}:\n{}",
                output::table(&rows, objects::COLUMNS)
            );
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

fn check_statuses(rows: &[Value]) -> Result<()> {
    for row in rows {
        let (key, status) = (text(&row["key"]), text(&row["status"]));
        let expected = if key == "broken.txt" {
            "FAILED"
        } else {
            "SUCCEEDED"
        };
        ensure!(
            status == expected,
            "s3://inbox/{key} is {status}, not {expected}"
        );
    }
    Ok(())
}

/// The results are right, byte by byte.
async fn check_results(s3: &S3Client) -> Result<()> {
    for (name, body) in OBJECTS {
        let Ok(body) = std::str::from_utf8(body) else {
            continue;
        };
        let result = s3.get("results", name).await?;
        ensure!(
            result == body.to_uppercase(),
            "s3://results/{name} is not the text in capitals"
        );
    }
    Ok(())
}

fn how_to_go_on(home: &Home, config: &Path) -> String {
    let mut told = String::from("\nHow to go on:\n");
    let mut line = |command: &str, what: &str| {
        let _ = writeln!(told, "  {command:<66} {what}");
    };
    match home {
        Home::Kept(_) => line(
            &format!("daybook serve --config {}", config.display()),
            "serve this ledger",
        ),
        Home::Temporary(_) => {
            line("daybook demo --keep", "the same, on a ledger that stays");
            line(
                "daybook serve --config examples/uppercase/daybook.toml",
                "your own files: cp or aws s3 cp them in",
            );
        }
    }
    line(
        "daybook objects | executions | events | show",
        "ask a running server",
    );
    line(
        "http://127.0.0.1:8080/console",
        "ask in GraphQL, in a browser",
    );
    told
}

/// Where the demo's ledger is.
enum Home {
    Temporary(TempDir),
    Kept(PathBuf),
}

impl Home {
    fn make(args: &DemoArgs) -> Result<Self> {
        if !args.keep {
            let dir = tempfile::Builder::new().prefix("daybook-demo-").tempdir();
            return Ok(Home::Temporary(
                dir.context("no temporary folder could be made")?,
            ));
        }
        let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(KEPT));
        if dir.exists() {
            bail!(
                "{} exists; remove it, or name another folder with --dir",
                dir.display()
            );
        }
        std::fs::create_dir_all(&dir)
            .with_context(|| format!("{} cannot be made", dir.display()))?;
        Ok(Home::Kept(dir))
    }

    fn path(&self) -> &Path {
        match self {
            Home::Temporary(dir) => dir.path(),
            Home::Kept(dir) => dir,
        }
    }
}

fn indented(text: &str) -> String {
    text.lines()
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// What the demo is doing: a spinner on a terminal, plain lines otherwise.
struct Progress(Option<ProgressBar>);

impl Progress {
    fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(Some(bar))
    }

    fn step(&self, what: &str) {
        match &self.0 {
            Some(bar) => bar.set_message(what.to_owned()),
            None => eprintln!("{what}"),
        }
    }

    fn done(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
