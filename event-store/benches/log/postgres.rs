//! Our log in PostgreSQL, for one service and for four at a time.

use std::sync::Arc;
use std::time::Duration;

use daybook_event_store::EventLog;
use daybook_event_store::postgres::{PostgresEventLog, PostgresOptions};
use daybook_event_store::testing::postgres::TestDatabase;
use futures::future::try_join_all;

use crate::Result;
use crate::report::{Figure, Workload};
use crate::workload::{self, EACH};

const ENGINE: &str = "daybook, PostgreSQL";
const SERVICES: usize = 4;

pub(crate) async fn measure(database: &TestDatabase) -> Result<Vec<Figure>> {
    let connecting = (0..SERVICES).map(|_| {
        let url = database.url();
        async move { PostgresEventLog::connect(&url, PostgresOptions::default()).await }
    });
    let services: Vec<Arc<dyn EventLog>> = try_join_all(connecting)
        .await?
        .into_iter()
        .map(|log| log as Arc<dyn EventLog>)
        .collect();
    let mut figures = workload::measure(services[0].clone(), ENGINE).await?;
    for (workload, clients, per_call) in [
        (Workload::ServicesClients, 16, 1),
        (Workload::ServicesBatches, 2, 1_000),
    ] {
        let each = services
            .iter()
            .map(|log| workload::clients(log, clients, per_call, EACH));
        figures.push(together(workload, try_join_all(each).await?));
    }
    let each = services.iter().map(|log| workload::one_stream(log, 1_000));
    figures.push(together(
        Workload::ServicesStreams,
        try_join_all(each).await?,
    ));
    for log in services {
        log.close().await;
    }
    Ok(figures)
}

fn together(workload: Workload, rates: Vec<(f64, Option<Duration>)>) -> Figure {
    Figure {
        workload,
        engine: ENGINE,
        events_per_second: rates.into_iter().map(|(rate, _)| rate).sum(),
        p50: None,
    }
}
