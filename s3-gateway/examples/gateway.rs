//! A gateway over two temporary folders, for trying clients by hand. Prints what it records.
//!
//! `cargo run -p daybook-s3-gateway --example gateway -- 127.0.0.1:9000 /tmp/buckets`
//!
//! With `shared` as a third argument, several of these may serve the same folders.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use daybook_domain::BucketName;
use daybook_domain::stored_object::ObjectCommand;
use daybook_s3_gateway::{
    BucketConfig, Gateway, GatewayConfig, LedgerError, Limits, LocalBucket, ObjectLedger,
    OperatorKey,
};
use tokio_util::sync::CancellationToken;

struct Printing;

#[async_trait]
impl ObjectLedger for Printing {
    #[expect(clippy::print_stdout, reason = "the example is for looking at")]
    async fn record(&self, command: ObjectCommand) -> Result<(), LedgerError> {
        println!("{command:?}");
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:9000".to_owned());
    let folder = PathBuf::from(args.next().unwrap_or_else(|| "buckets".to_owned()));
    let shared = args.next().as_deref() == Some("shared");
    let mut buckets = BTreeMap::new();
    for name in ["inbox", "results"] {
        let local = LocalBucket {
            root: folder.join(name),
            retain: Duration::from_secs(3600),
        };
        buckets.insert(BucketName::parse(name)?, BucketConfig::Local(local));
    }
    let key = OperatorKey {
        name: "example".to_owned(),
        access_key: "example".to_owned(),
        secret_key: "example-secret".to_owned(),
        read: vec!["*".to_owned()],
        write: vec!["*".to_owned()],
    };
    let config = GatewayConfig {
        buckets,
        keys: vec![key],
        region: "us-east-1".to_owned(),
        limits: Limits::default(),
        shared,
    };
    let gateway = Gateway::open(config, Arc::new(Printing))?;
    let shutdown = CancellationToken::new();
    tokio::spawn(Arc::clone(&gateway).watch(shutdown.clone()));
    let listener = tokio::net::TcpListener::bind(address).await?;
    Ok(gateway.serve(listener, shutdown).await?)
}
