//! The table: for each workload each engine, with its ratios to the references that ran it too.

use std::time::Duration;

/// What is done to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// One client appends one event after the other, each to a new stream.
    Alone,
    /// One client appends one event after the other to the same stream.
    AloneAgain,
    /// 64 clients append one event after the other.
    Clients,
    /// One client appends 64 events at a time, each to a stream of its own.
    Batches64,
    /// One client appends 1,000 events at a time, each to a stream of its own.
    Batches1000,
    /// One client appends to the same stream, 1,000 events in each append.
    Stream1000,
    /// Four services share the log, with 16 clients each as above.
    ServicesClients,
    /// Four services share the log, with two clients each that append 1,000 events at a time.
    ServicesBatches,
    /// Four services share the log, with one client each that appends 1,000 events at a time to its
    /// own stream.
    ServicesStreams,
    /// All events are read.
    ReadAll,
}

impl Workload {
    const ALL: [Workload; 10] = [
        Workload::Alone,
        Workload::AloneAgain,
        Workload::Clients,
        Workload::Batches64,
        Workload::Batches1000,
        Workload::Stream1000,
        Workload::ServicesClients,
        Workload::ServicesBatches,
        Workload::ServicesStreams,
        Workload::ReadAll,
    ];

    /// The workload whose references serve for this one.
    fn like(self) -> Self {
        match self {
            Workload::AloneAgain => Workload::Alone,
            Workload::Stream1000 => Workload::Batches1000,
            workload => workload,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Workload::Alone => "1 client, 1 event",
            Workload::AloneAgain => "the same, one stream",
            Workload::Clients => "64 clients, 1 event each",
            Workload::Batches64 => "1 client, 64 events",
            Workload::Batches1000 => "1 client, 1,000 events",
            Workload::Stream1000 => "the same, one stream",
            Workload::ServicesClients => "4 services × 16 clients",
            Workload::ServicesBatches => "4 services, 1,000 events",
            Workload::ServicesStreams => "the same, one stream each",
            Workload::ReadAll => "read all",
        }
    }
}

/// Engines that are references, as they name themselves.
pub(crate) const RAW_FILE: &str = "raw preallocated file";
pub(crate) const PLAIN_SQLITE: &str = "plain SQLite table";
pub(crate) const PLAIN_POSTGRES: &str = "plain PostgreSQL table";

/// How fast an engine was.
pub(crate) struct Figure {
    pub(crate) workload: Workload,
    pub(crate) engine: &'static str,
    pub(crate) events_per_second: f64,
    /// Of one append, where each was timed.
    pub(crate) p50: Option<Duration>,
}

/// Prints the table.
pub(crate) fn print(figures: &[Figure]) {
    println!(
        "{:<26}{:<26}{:>11}{:>10}{:>10}{:>10}{:>13}{:>10}",
        "", "", "events/s", "p50", "p50/raw", "/raw", "/SQLite×64", "/Postgres"
    );
    for workload in Workload::ALL {
        let of_workload = figures.iter().filter(|figure| figure.workload == workload);
        let mut title = workload.title();
        for figure in of_workload {
            println!("{title:<26}{}", line(figure, figures));
            title = "";
        }
    }
}

fn line(figure: &Figure, figures: &[Figure]) -> String {
    let find = |workload: Workload, engine| {
        let workload = workload.like();
        figures
            .iter()
            .find(|other| other.workload == workload && other.engine == engine)
    };
    let raw = find(figure.workload, RAW_FILE);
    // What many clients reach is compared with transactions that come ready made.
    let batched = match figure.workload {
        Workload::Clients => find(Workload::Batches64, PLAIN_SQLITE),
        workload => find(workload, PLAIN_SQLITE),
    };
    // And what services reach together with what clients of the database itself do.
    let postgres = match figure.workload {
        Workload::ServicesClients | Workload::ServicesBatches | Workload::ServicesStreams => {
            find(Workload::Clients, PLAIN_POSTGRES)
        }
        workload => find(workload, PLAIN_POSTGRES),
    };
    let rate_of = |reference: Option<&Figure>| {
        reference.map(|reference| figure.events_per_second / reference.events_per_second)
    };
    let latency = figure.p50.zip(raw.and_then(|raw| raw.p50));
    format!(
        "{:<26}{:>11.0}{:>10}{:>10}{:>10}{:>13}{:>10}",
        figure.engine,
        figure.events_per_second,
        figure
            .p50
            .map_or(String::new(), |p50| format!("{} µs", p50.as_micros())),
        ratio(latency.map(|(own, raw)| own.as_secs_f64() / raw.as_secs_f64())),
        ratio(rate_of(raw)),
        ratio(rate_of(batched)),
        ratio(rate_of(postgres)),
    )
}

fn ratio(of: Option<f64>) -> String {
    of.map_or(String::new(), |of| match of {
        of if of < 0.1 => format!("1/{:.0}", 1.0 / of),
        of => format!("{of:.2}"),
    })
}
