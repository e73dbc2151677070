//! Functions without a gateway: while a config is checked, and where only calls are measured.

use daybook_domain::FunctionName;
use daybook_functions::{InvocationScope, StorageAccess, StorageActivity, StorageCredentials};

/// Credentials that open nothing.
pub(crate) struct NoStorage;

impl StorageAccess for NoStorage {
    fn issue(&self, _function: &FunctionName) -> StorageCredentials {
        StorageCredentials {
            access_key: String::new(),
            secret_key: String::new(),
            endpoint: String::new(),
            region: String::new(),
        }
    }

    fn begin(&self, _access_key: &str, _scope: InvocationScope) {}

    fn end(&self, _access_key: &str) -> StorageActivity {
        StorageActivity::default()
    }

    fn revoke(&self, _access_key: &str) {}
}
