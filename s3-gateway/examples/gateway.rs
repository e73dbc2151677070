//! A gateway over two temporary folders, for trying clients by hand. Prints what it records.
//!
//! `cargo run -p daybook-s3-gateway --example gateway -- 127.0.0.1:9000 /tmp/buckets`
//!
//! Buckets may be made over S3, with the keys `example` and `other` (secrets `example-secret` and
//! `other-secret`). With `shared` as a third argument, several of these may serve the same folders; with `quiet` it prints nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use daybook_domain::BucketName;
use daybook_domain::stored_object::ObjectCommand;
use daybook_s3_gateway::{
    BucketConfig, CreatedBuckets, Gateway, GatewayConfig, LedgerError, Limits, LocalBucket,
    ObjectLedger, OperatorKey,
};
use tokio_util::sync::CancellationToken;

struct Printing {
    quiet: bool,
}

#[async_trait]
impl ObjectLedger for Printing {
    #[expect(clippy::print_stdout, reason = "the example is for looking at")]
    async fn record(&self, command: ObjectCommand) -> Result<(), LedgerError> {
        if !self.quiet {
            println!("{command:?}");
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:9000".to_owned());
    let folder = PathBuf::from(args.next().unwrap_or_else(|| "buckets".to_owned()));
    let third = args.next();
    let shared = third.as_deref() == Some("shared");
    let quiet = third.as_deref() == Some("quiet");
    let mut buckets = BTreeMap::new();
    for name in ["inbox", "results"] {
        let local = LocalBucket {
            root: folder.join(name),
            retain: Duration::from_secs(3600),
        };
        buckets.insert(BucketName::parse(name)?, BucketConfig::Local(local));
    }
    let key = |name: &str| OperatorKey {
        name: name.to_owned(),
        access_key: name.to_owned(),
        secret_key: format!("{name}-secret"),
        read: vec!["*".to_owned()],
        write: vec!["*".to_owned()],
    };
    let config = GatewayConfig {
        buckets,
        keys: vec![key("example"), key("other")],
        region: "us-east-1".to_owned(),
        limits: Limits::default(),
        shared,
        created: Some(CreatedBuckets {
            root: folder.join("created"),
            retain: Duration::from_secs(3600),
        }),
    };
    let gateway = Gateway::open(config, Arc::new(Printing { quiet }))?;
    let shutdown = CancellationToken::new();
    tokio::spawn(Arc::clone(&gateway).watch(shutdown.clone()));
    let listener = tokio::net::TcpListener::bind(address).await?;
    Ok(gateway.serve(listener, shutdown).await?)
}
