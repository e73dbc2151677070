//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;

use crate::builtin::Builtin;

/// An event-sourced processing ledger: what happened to my file, which code made this output, did
/// we miss any, and run it again.
#[derive(Parser)]
#[command(name = "daybook", version, propagate_version = true)]
pub(crate) struct Cli {
    /// The server that client commands talk to.
    #[arg(
        long,
        global = true,
        env = "DAYBOOK_SERVER",
        default_value = "http://127.0.0.1:8080"
    )]
    pub server: String,
    /// How answers are printed.
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    pub output: Format,
    #[command(subcommand)]
    pub command: Command,
}

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON document a line.
    Jsonl,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the ledger: S3 gateway, functions, commands and queries in one process.
    Serve(ServeArgs),
    /// See it work: a temporary ledger, a few files, and what happened to them.
    Demo(DemoArgs),
    /// How the ledger is: position, lag, counts.
    Status,
    /// List objects, newest first.
    Objects(ObjectsArgs),
    /// List executions, newest first.
    Executions(ExecutionsArgs),
    /// List the functions: their code, and what their processes are doing.
    Functions,
    /// Tell the story of an object (s3://BUCKET/KEY) or of an execution (its id).
    Show {
        /// s3://BUCKET/KEY or an execution's id.
        target: String,
    },
    /// Print what the attempts of an execution wrote.
    Logs(LogsArgs),
    /// Try one function alone: no server, no ledger and no storage. Exit code 1 if it fails.
    Invoke(InvokeArgs),
    /// List events, the audit trail.
    Events(EventsArgs),
    /// Check or show the config.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Run one execution again on today's code, as a new execution linked to it.
    Redrive {
        /// The execution's id.
        execution: String,
        /// Why, for the audit trail.
        #[arg(long)]
        reason: Option<String>,
        /// Let it write below shadow/ID/ in its buckets, so that nothing that others see changes.
        #[arg(long)]
        shadow: bool,
    },
    /// Pause a pipeline, or let it go on.
    #[command(subcommand)]
    Pipeline(PipelineCommand),
    /// Run many executions again.
    #[command(subcommand)]
    Replay(ReplayCommand),
    /// Compare a bucket with the ledger, record what it lacks, and say what became of all of it.
    Reconcile(ReconcileArgs),
    /// Write the audit trail of a range to a folder.
    Export(ExportArgs),
    /// Check an export against its manifest. Exit code 3 if it does not hold.
    Verify {
        /// The folder of the export.
        path: PathBuf,
    },
    /// What stores tell.
    #[command(subcommand)]
    Intake(IntakeCommand),
    /// The read models.
    #[command(subcommand)]
    Projections(ProjectionsCommand),
    /// Look after the event log itself. It is opened where it is: no server is needed.
    #[command(subcommand)]
    Log(LogCommand),
    /// Measure this machine: invocations and objects per second with the built-in function.
    Bench(BenchArgs),
    /// Run a built-in function (started by the function host).
    #[command(hide = true)]
    Function {
        /// Which.
        function: Builtin,
    },
}

#[derive(Args)]
pub(crate) struct ServeArgs {
    /// The config file.
    #[arg(long, default_value = "daybook.toml")]
    pub config: PathBuf,
    /// Where the ledger is kept [default: daybook-data beside the config].
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// Where GraphQL, commands and the console listen.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Where the S3 gateway listens.
    #[arg(long, default_value = "127.0.0.1:9000")]
    pub s3_listen: SocketAddr,
    /// The roles of this process, for several on one log: command,functions or query [default:
    /// all of them].
    #[arg(long, value_delimiter = ',')]
    pub roles: Vec<String>,
}

#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Keep the ledger, and say how to serve it.
    #[arg(long)]
    pub keep: bool,
    /// Where to keep it [default: ./daybook-demo].
    #[arg(long, requires = "keep")]
    pub dir: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Page {
    /// How many at most.
    #[arg(long, default_value_t = 20)]
    pub limit: usize,
}

#[derive(Args)]
pub(crate) struct ObjectsArgs {
    /// Those of this bucket.
    #[arg(long)]
    pub bucket: Option<String>,
    /// Those whose key starts so.
    #[arg(long)]
    pub prefix: Option<String>,
    /// Those in this status, for example FAILED.
    #[arg(long, ignore_case = true)]
    pub status: Option<String>,
    #[command(flatten)]
    pub page: Page,
}

#[derive(Args)]
pub(crate) struct ExecutionsArgs {
    /// Those of this pipeline.
    #[arg(long)]
    pub pipeline: Option<String>,
    /// Those in this status, for example FAILED.
    #[arg(long)]
    pub status: Option<String>,
    #[command(flatten)]
    pub page: Page,
}

#[derive(Args)]
pub(crate) struct LogsArgs {
    /// The execution's id.
    pub execution: String,
    /// Those of this attempt [default: all of them].
    #[arg(long)]
    pub attempt: Option<u32>,
    /// Go on until the execution is over: what runs is shown while it runs.
    #[arg(long)]
    pub follow: bool,
}

#[derive(Args)]
pub(crate) struct InvokeArgs {
    /// The function.
    pub function: String,
    /// A file with the event, or - for standard input.
    #[arg(
        long,
        required_unless_present = "s3_object",
        conflicts_with = "s3_object"
    )]
    pub event: Option<PathBuf>,
    /// Make the event that the arrival of this object would give: s3://BUCKET/KEY.
    #[arg(long)]
    pub s3_object: Option<String>,
    /// The config file.
    #[arg(long, default_value = "daybook.toml")]
    pub config: PathBuf,
}

#[derive(Args)]
pub(crate) struct EventsArgs {
    /// Those of this stream.
    #[arg(long)]
    pub stream: Option<String>,
    /// Those of this type, for example ObjectCreated.
    #[arg(long = "type")]
    pub event_type: Option<String>,
    /// Those after this position.
    #[arg(long)]
    pub after: Option<u64>,
    /// Go on with what comes, until interrupted.
    #[arg(long)]
    pub follow: bool,
    #[command(flatten)]
    pub page: Page,
}

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say whether a config can run. Exit code 3 if not.
    Check {
        /// The config file.
        #[arg(long, default_value = "daybook.toml")]
        config: PathBuf,
    },
    /// Show a config as it counts, with its defaults and without its secrets.
    Show {
        /// The config file.
        #[arg(long, default_value = "daybook.toml")]
        config: PathBuf,
    },
}

#[derive(Subcommand)]
pub(crate) enum ReplayCommand {
    /// Choose executions and run them again.
    Start(ReplayStartArgs),
    /// List replays, newest first.
    List(Page),
    /// Show one replay.
    Show {
        /// Its id.
        replay: String,
    },
    /// Start no more of a replay's executions.
    Cancel {
        /// Its id.
        replay: String,
    },
}

#[derive(Args)]
pub(crate) struct ReplayStartArgs {
    /// Those of this pipeline.
    #[arg(long)]
    pub pipeline: String,
    /// Those in this status: SUCCEEDED, FAILED, TIMED_OUT or ABORTED [default: any of them].
    #[arg(long)]
    pub status: Option<String>,
    /// Those started at this time or later (RFC 3339).
    #[arg(long)]
    pub since: Option<Timestamp>,
    /// Those started before this time (RFC 3339).
    #[arg(long)]
    pub until: Option<Timestamp>,
    /// Only count them.
    #[arg(long)]
    pub dry_run: bool,
    /// Why, for the audit trail.
    #[arg(long)]
    pub reason: Option<String>,
}

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct ReconcileArgs {
    #[command(subcommand)]
    pub command: Option<ReconcileCommand>,
    #[command(flatten)]
    pub start: ReconcileStartArgs,
}

#[derive(Subcommand)]
pub(crate) enum ReconcileCommand {
    /// List reconciles, newest first.
    List(Page),
    /// Show the statement of one reconcile.
    Show {
        /// Its id.
        reconcile: String,
    },
    /// Let one that runs stand still. Others of its bucket may go on meanwhile.
    Pause {
        /// Its id.
        reconcile: String,
    },
    /// Go on with one that is paused, from where it had recorded its progress.
    Resume {
        /// Its id.
        reconcile: String,
    },
    /// Go no further with one that runs or is paused.
    Cancel {
        /// Its id.
        reconcile: String,
    },
}

#[derive(Args)]
pub(crate) struct ReconcileStartArgs {
    /// BUCKET or BUCKET/PREFIX; s3:// before it is fine.
    #[arg(required = true)]
    pub target: Option<String>,
    /// Only look: record nothing about objects. Exit code 3 if something is missing, gone or
    /// changed.
    #[arg(long)]
    pub dry_run: bool,
    /// Run this pipeline for the objects that it wants and has never run for.
    #[arg(long, requires = "missing_only")]
    pub pipeline: Option<String>,
    /// With --pipeline: for the objects that this revision of its function has not processed, whatever
    /// processed them before. To start them it has to be the newest one.
    #[arg(long, requires = "pipeline")]
    pub revision: Option<u32>,
    /// With --pipeline: only for those.
    #[arg(long, requires = "pipeline")]
    pub missing_only: bool,
    /// With --pipeline: start them. Without it they are counted only.
    #[arg(long, requires = "pipeline")]
    pub yes: bool,
    /// Learn what is in the bucket from an S3 Inventory report: its manifest.json, as a path on the
    /// server or as s3://BUCKET/KEY.
    #[arg(long)]
    pub inventory: Option<String>,
    /// Look at no more than so many keys a second.
    #[arg(long)]
    pub rate: Option<u32>,
    /// Why, for the audit trail.
    #[arg(long)]
    pub reason: Option<String>,
    /// Do not wait for its end.
    #[arg(long)]
    pub detach: bool,
}

#[derive(Args)]
pub(crate) struct ExportArgs {
    /// The format: jsonl (CloudEvents JSON Lines).
    #[arg(long, default_value = "jsonl")]
    pub format: String,
    /// The folder to write; it must not exist yet.
    #[arg(long)]
    pub out: PathBuf,
    /// Events recorded at this time or later (RFC 3339).
    #[arg(long)]
    pub since: Option<Timestamp>,
    /// Events recorded before this time (RFC 3339).
    #[arg(long)]
    pub until: Option<Timestamp>,
    /// Why, for the audit trail.
    #[arg(long)]
    pub reason: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum ProjectionsCommand {
    /// List the read models with their position and lag.
    List,
    /// Derive a read model from the log anew, compare it with the old one, and switch it in. Exit
    /// code 3 if they differed.
    Rebuild {
        /// The name, or `all`.
        #[arg(default_value = "all")]
        name: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum LogCommand {
    /// Verify the whole log, beside a running server if there is one. Exit code 3 if something is
    /// found wanting.
    Check(LogCheckArgs),
    /// Copy a whole log into an empty one, or go on with a copy that was interrupted, and prove
    /// that both are equal. Exit code 3 if they are not.
    Copy {
        /// The log to copy: sqlite:PATH, postgres://… or esdb://…
        #[arg(long)]
        from: String,
        /// Where to: sqlite:PATH, postgres://… or esdb://…
        #[arg(long)]
        to: String,
    },
}

#[derive(Args)]
pub(crate) struct LogCheckArgs {
    /// The log: sqlite, sqlite:PATH, postgres://… or esdb://… [default: the config's].
    pub url: Option<String>,
    /// The config file [default: daybook.toml].
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Where the ledger is kept [default: daybook-data beside the config].
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
}

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    pub command: Option<BenchCommand>,
    #[command(flatten)]
    pub objects: BenchObjectsArgs,
}

#[derive(Subcommand)]
pub(crate) enum BenchCommand {
    /// Plant a bucket and a ledger that differ in some places, and compare them. Exit code 3 if not
    /// exactly those are found.
    Reconcile(BenchReconcileArgs),
    /// Send notifications over HTTP, ten records in a request, and count those that are on disk.
    Intake(BenchIntakeArgs),
}

#[derive(Args)]
pub(crate) struct BenchIntakeArgs {
    /// How many records for each measurement.
    #[arg(long, default_value_t = 100_000)]
    pub records: usize,
    /// How many connections send at once, one measurement each.
    #[arg(long, value_delimiter = ',', default_values_t = [16, 64])]
    pub connections: Vec<usize>,
    /// Where the temporary ledger is kept [default: the system's folder for temporary files].
    #[arg(long)]
    pub dir: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct BenchReconcileArgs {
    /// How many objects the bucket has.
    #[arg(long, default_value_t = 100_000)]
    pub objects: usize,
    /// How many of them differ: missing, gone and changed in turn.
    #[arg(long, default_value_t = 100)]
    pub faults: usize,
    /// Where the temporary ledger is kept [default: the system's folder for temporary files].
    #[arg(long)]
    pub dir: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct BenchObjectsArgs {
    /// How many objects for each measurement.
    #[arg(long, default_value_t = 1_000)]
    pub objects: usize,
    /// How many are in flight, one measurement each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64])]
    pub in_flight: Vec<usize>,
    /// Where the temporary ledger is kept [default: the system's folder for temporary files].
    #[arg(long)]
    pub dir: Option<PathBuf>,
}

impl Cli {
    /// Whether the command runs services in this process and logs what they do.
    pub(crate) fn is_server(&self) -> bool {
        matches!(self.command, Command::Serve(_))
    }
}

#[derive(Subcommand)]
pub(crate) enum IntakeCommand {
    /// Say what a notification tells and what verdict its records get, on an empty ledger. No
    /// server is needed, and nothing is recorded. Exit code 3 if a record is an error.
    Decode(DecodeArgs),
    /// List the deliveries that a server rejected, newest first, or show one of them.
    Rejected {
        /// Its id.
        id: Option<String>,
        /// How many at most.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
}

#[derive(Subcommand)]
pub(crate) enum PipelineCommand {
    /// Start nothing more for it; what it is owed stays pending.
    Pause {
        /// The pipeline.
        pipeline: String,
    },
    /// Start what it is owed, and go on.
    Resume {
        /// The pipeline.
        pipeline: String,
    },
}

#[derive(Args)]
pub(crate) struct DecodeArgs {
    /// The body of the notification, or - for standard input. A kept delivery, with its members
    /// transport and body, brings its headers along.
    pub file: PathBuf,
    /// How it came [default: http].
    #[arg(long, value_enum)]
    pub transport: Option<DecodeTransport>,
    /// A header of the request, 'NAME: VALUE'. May be repeated.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub headers: Vec<(String, String)>,
    /// A parameter of the request's query, NAME=VALUE. May be repeated.
    #[arg(long = "query", value_name = "NAME=VALUE", value_parser = parameter)]
    pub query: Vec<(String, String)>,
    /// A config: its buckets count, with their names at the stores and their filters, which stores may
    /// speak, and how much is read. No server is asked, and nothing of it is opened.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The source of that config that it came for.
    #[arg(long, value_name = "NAME", requires = "config")]
    pub source: Option<String>,
    /// The certificate that Amazon SNS has signed with, a PEM file. Without one signatures are not
    /// checked.
    #[arg(long, value_name = "FILE")]
    pub sns_certificate: Option<PathBuf>,
    /// A file with the signing secret of a rule of Backblaze B2. Without one signatures are not
    /// checked.
    #[arg(long, value_name = "FILE")]
    pub b2_secret: Option<PathBuf>,
}

/// How a notification came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DecodeTransport {
    /// A request.
    Http,
    /// The answer of a queue, or one message of it.
    Sqs,
    /// The event of an AWS Lambda invocation.
    Lambda,
    /// A piece of a stream.
    Stream,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("it has no colon")?;
    Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it has no =")?;
    Ok((name.to_owned(), value.to_owned()))
}
