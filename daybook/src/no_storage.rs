//! Functions without a gateway: while a config is checked, and where only calls are measured.

use daybook_domain::FunctionName;
use daybook_functions::{InvocationScope, StorageAccess, StorageActivity, StorageCredentials};

/// Credentials that open nothing.
#[derive(Default)]
pub(crate) struct NoStorage {
    /// Where requests go; nowhere where it is empty.
    pub endpoint: String,
    /// The region that they are signed for.
    pub region: String,
}

impl StorageAccess for NoStorage {
    fn issue(&self, _function: &FunctionName) -> StorageCredentials {
        StorageCredentials {
            access_key: "NO-STORAGE".to_owned(),
            secret_key: "NO-STORAGE".to_owned(),
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
        }
    }

    fn begin(&self, _access_key: &str, _scope: InvocationScope) {}

    fn end(&self, _access_key: &str) -> StorageActivity {
        StorageActivity::default()
    }

    fn revoke(&self, _access_key: &str) {}
}
