//! TLS and credentials: a certificate that is not trusted is refused, and credentials go only to a
//! server that was let through, and only with calls that need them.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

use super::impatient;
use crate::Expected;
use crate::conformance::fixture::{all, given, ids};
use crate::eventstoredb::fake::Fake;
use crate::eventstoredb::{ConnectError, EventStoreDbLog};

/// `admin:change it` as a header.
const HEADER: &str = "Basic YWRtaW46Y2hhbmdlIGl0";

/// An authority of its own that has signed for 127.0.0.1, in a file for the client.
struct Authority {
    _folder: TempDir,
    file: PathBuf,
    acceptor: TlsAcceptor,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap();
        let pem = authority.pem();
        let issuer = Issuer::new(params, key);

        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        // The client installs a provider for the process, so this one is named.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, pem).unwrap();
        Authority {
            _folder: folder,
            file,
            acceptor: TlsAcceptor::from(Arc::new(config)),
        }
    }

    fn url(&self, fake: &Fake, user: &str) -> String {
        let (address, file) = (fake.address, self.file.display());
        format!("esdb://{user}{address}?tlsCaFile={file}")
    }
}

#[tokio::test]
async fn a_trusted_server_gets_the_credentials_where_they_are_needed() {
    let authority = Authority::new();
    let fake = Fake::start_tls(authority.acceptor.clone()).await;
    fake.want_authorization(HEADER);
    let url = authority.url(&fake, "admin:change%20it@");
    let log = EventStoreDbLog::connect(&url, impatient()).await.unwrap();
    given(&*log, "a", Expected::NoStream, 1..3).await;
    assert_eq!(ids(&all(&*log).await), [1, 2]);
    let headers = fake.authorizations();
    // The first call asks for the server's features, which anybody may know.
    assert_eq!(headers[0], None);
    assert!(
        headers[1..]
            .iter()
            .any(|header| header.as_deref() == Some(HEADER))
    );
}

#[tokio::test]
async fn a_server_that_is_not_trusted_gets_nothing() {
    let (authority, other) = (Authority::new(), Authority::new());
    let fake = Fake::start_tls(authority.acceptor.clone()).await;
    let url = other.url(&fake, "admin:secret@");
    let error = EventStoreDbLog::connect(&url, impatient())
        .await
        .unwrap_err();
    assert!(matches!(error, ConnectError::Unavailable { .. }));
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("tlsCaFile"), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
    assert!(fake.authorizations().is_empty());
}

#[tokio::test]
async fn wrong_credentials_come_with_their_remedy() {
    let authority = Authority::new();
    let fake = Fake::start_tls(authority.acceptor.clone()).await;
    fake.want_authorization(HEADER);
    for user in ["admin:wrong@", ""] {
        let url = authority.url(&fake, user);
        let error = EventStoreDbLog::connect(&url, impatient()).await;
        let shown = error.unwrap_err().to_string();
        assert!(shown.contains("denied access"), "{shown}");
    }
}

/// A server that does not speak TLS is told nothing either.
#[tokio::test]
async fn a_server_without_tls_gets_nothing() {
    let authority = Authority::new();
    let fake = Fake::start().await;
    let url = authority.url(&fake, "admin:secret@");
    let error = EventStoreDbLog::connect(&url, impatient()).await;
    assert!(matches!(error, Err(ConnectError::Unavailable { .. })));
    assert!(fake.authorizations().is_empty());
}
