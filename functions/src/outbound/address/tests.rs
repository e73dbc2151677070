use super::*;

#[track_caller]
fn check(addresses: &[&str], public: bool) {
    for text in addresses {
        let address: IpAddr = text.parse().unwrap();
        assert_eq!(is_public(address), public, "{text}");
    }
}

#[test]
fn what_the_internet_reaches_is_public() {
    check(
        &[
            "8.8.8.8",
            "93.184.215.14",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2a00:1450:4001:80b::200e",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:0808:0808::1",
        ],
        true,
    );
}

#[test]
fn what_only_this_machine_or_its_network_reaches_is_not() {
    check(
        &[
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            // The metadata of cloud machines.
            "169.254.169.254",
            "fd00:ec2::254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:a9fe:a9fe",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "fc00::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ],
        false,
    );
}

#[test]
fn a_literal_address_is_checked_without_resolving() {
    let check = |url: &str| check_literal(&url.parse().unwrap());
    assert!(check("http://127.0.0.1:8080/").is_err());
    assert!(check("http://[::1]/").is_err());
    assert!(check("http://[::ffff:169.254.169.254]/").is_err());
    assert!(check("http://8.8.8.8/").is_ok());
    assert!(
        check("http://localhost/").is_ok(),
        "that is for the resolver"
    );
    let said = check("http://10.1.2.3/").unwrap_err().to_string();
    assert!(said.contains("10.1.2.3") && said.contains("private_addresses = true"));
}

#[test]
fn only_addresses_that_passed_are_given_to_connect_to() {
    let public = "8.8.8.8:0".parse().unwrap();
    let private = "10.0.0.1:0".parse().unwrap();
    let some = allowed("h", [private, public].into_iter(), false).unwrap();
    assert_eq!(some, [public]);
    let all = allowed("h", [private, public].into_iter(), true).unwrap();
    assert_eq!(all, [private, public]);
    let none = allowed("h", [private].into_iter(), false).unwrap_err();
    assert!(none.get_ref().unwrap().is::<AddressRefused>());
}

#[tokio::test]
async fn names_and_odd_spellings_of_loopback_are_refused() {
    for name in ["localhost", "127.1", "2130706433", "0x7f.1"] {
        let mut resolver = Resolver {
            private_addresses: false,
        };
        let resolved = resolver.call(name.parse().unwrap()).await;
        let refused = resolved.expect_err(name);
        assert!(
            refused
                .get_ref()
                .is_some_and(|it| it.is::<AddressRefused>()),
            "{name}: {refused}"
        );
    }
}
