use eventstore::Credentials;

use super::Address;

fn parse(url: &str) -> Address {
    Address::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
}

fn refused(url: &str) -> String {
    match Address::parse(url) {
        Ok(address) => panic!("{url} was taken as {address}"),
        Err(error) => error,
    }
}

#[test]
fn one_node_and_clusters() {
    let check = |url: &str, discover: bool, hosts: &[(&str, u32)]| {
        let settings = parse(url).settings;
        assert_eq!(settings.is_dns_discovery_enabled(), discover, "{url}");
        let found = settings.hosts().iter();
        let found: Vec<_> = found.map(|host| (host.host.as_str(), host.port)).collect();
        assert_eq!(found, hosts, "{url}");
        assert!(settings.is_secure_mode_enabled(), "{url}");
    };
    check("esdb://db", false, &[("db", 2113)]);
    check("kurrentdb://db:1", false, &[("db", 1)]);
    check("KurrentDB://db:1/", false, &[("db", 1)]);
    check("kdb://db:1", false, &[("db", 1)]);
    check("esdb+discover://cluster:1", true, &[("cluster", 1)]);
    check("kurrentdb+discover://cluster:1", true, &[("cluster", 1)]);
    check(
        "kurrentdb://user:p,w@a:1,b:2,c:3?tls=true",
        false,
        &[("a", 1), ("b", 2), ("c", 3)],
    );
}

#[test]
fn parameters() {
    let settings = parse(
        "esdb://db?tls=true&tlsVerifyCert=false&keepAliveInterval=20000&keepAliveTimeout=15000\
         &maxDiscoverAttempts=7&gossipTimeout=900&nodePreference=leader&connectionName=x",
    )
    .settings;
    assert!(!settings.is_tls_certificate_verification_enabled());
    assert_eq!(settings.max_discover_attempts(), 7);
    assert_eq!(settings.gossip_timeout().as_millis(), 900);
    let shown = format!("{settings:?}");
    assert!(shown.contains("keep_alive_interval: 20s"), "{shown}");
    assert!(shown.contains("keep_alive_timeout: 15s"), "{shown}");
    assert!(
        !parse("esdb://db?tls=false")
            .settings
            .is_secure_mode_enabled()
    );
}

#[test]
fn credentials_are_unescaped_and_kept_from_the_client() {
    let address = parse("esdb://ops%40corp:p%3Aw%2F%25@db:2113?tls=true");
    assert_eq!(
        address.credentials,
        Some(Credentials::new("ops@corp", "p:w/%"))
    );
    assert_eq!(*address.settings.default_authenticated_user(), None);
    assert_eq!(address.to_string(), "esdb://db:2113?tls=true");
    assert_eq!(parse("esdb://db").credentials, None);
}

#[test]
fn errors_never_show_the_password() {
    for url in [
        "http://u:secret@db",
        "esdb://u:secret@",
        "esdb://u:secret@db:port",
        "esdb://u:secret@db:99999",
        "esdb://u:secret@db/path",
        "esdb://u:secret@a:1,b:x",
        "esdb://u:secret@db?tls=perhaps",
        "esdb://u:secret%ff@db",
        "esdb://u:secret@db?tls=false",
        "esdb://u:secret@db?nodePreference=follower",
        "esdb://u:secret@db?keepAliveInterval=-7",
        "esdb://u:secret@db?tlsCaFile=/nowhere/ca.pem",
        "esdb://u:secret@db?userCertFile=/nowhere/c.pem",
        "u:secret@db",
    ] {
        let error = refused(url);
        assert!(!error.contains("secret"), "{error}");
        assert!(!error.is_empty());
    }
}

#[test]
fn credentials_need_tls() {
    let error = refused("esdb://admin:changeit@localhost:2113?tls=false");
    assert!(error.contains("in the clear"), "{error}");
    parse("esdb://admin:changeit@localhost:2113?tls=true");
}

#[test]
fn only_the_leader_is_asked() {
    let error = refused("esdb://a:1,b:2?nodePreference=follower");
    assert!(error.contains("nodePreference is Follower"), "{error}");
}

#[test]
fn files_are_looked_at_before_the_client_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (missing, wrong, right) = (path("missing"), path("wrong"), path("right"));
    std::fs::write(&wrong, "no certificate").unwrap();
    std::fs::write(&right, "-----BEGIN CERTIFICATE-----\n").unwrap();

    let error = refused(&format!("esdb://db?tlsCaFile={missing}"));
    assert!(error.contains("cannot be read"), "{error}");
    let error = refused(&format!("esdb://db?tlsCaFile={wrong}"));
    assert!(error.contains("is no PEM file"), "{error}");
    let error = refused(&format!(
        "esdb://db?userCertFile={right}&userKeyFile={missing}"
    ));
    assert!(error.contains("userKeyFile"), "{error}");
    parse(&format!("esdb://db?tlsCaFile={right}"));
}
