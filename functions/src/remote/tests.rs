//! Remote functions through the host, against servers of the test.

mod http;
mod lambda;
mod stub;

use std::sync::Arc;
use std::time::Duration;

use daybook_domain::FunctionName;
use tempfile::TempDir;

use super::*;
use crate::testing::FakeStorage;
use crate::{FunctionHost, FunctionSpec, LoadError};

/// A host with one function `far`.
struct Fixture {
    host: Arc<FunctionHost>,
    storage: Arc<FakeStorage>,
    name: FunctionName,
    code: LoadedCode,
    _folder: TempDir,
}

impl Fixture {
    async fn new(target: RemoteSpec) -> Self {
        Self::load(target, |_| {}).await.unwrap()
    }

    async fn load(
        target: RemoteSpec,
        change: impl FnOnce(&mut FunctionSpec),
    ) -> Result<Self, LoadError> {
        let folder = TempDir::new().unwrap();
        let options = HostOptions {
            run_dir: folder.path().to_owned(),
            ..HostOptions::default()
        };
        let storage = Arc::new(FakeStorage::default());
        let host = FunctionHost::new(
            Arc::clone(&storage) as Arc<dyn crate::StorageAccess>,
            options,
        );
        let name = FunctionName::parse("far").unwrap();
        let mut spec = FunctionSpec::remote(name.clone(), target);
        change(&mut spec);
        let code = host.load(spec).await?;
        Ok(Self {
            host,
            storage,
            name,
            code,
            _folder: folder,
        })
    }

    async fn run(&self, invocation: Invocation) -> Outcome {
        let slot = self.host.reserve(&self.name).expect("a free slot");
        self.host.invoke(slot, invocation).await
    }

    fn description(&self) -> Value {
        let Package::Description(bytes) = &self.code.package else {
            panic!("{:?}", self.code);
        };
        assert_eq!(self.code.sha256, hex::encode(Sha256::digest(bytes)));
        assert_eq!(self.code.size, bytes.len() as u64);
        serde_json::from_slice(bytes).unwrap()
    }
}

/// Longer than any test: what ends before that was ended.
const FOR_EVER: Duration = Duration::from_secs(3600);
