use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::Transport;

const BODY: &str = r#"{"events":[]}"#;
const SECRET: &str = "fixtureB2SigningSecret0123456789";

fn request(headers: &[(&str, &str)], query: &[(&str, &str)]) -> Delivery {
    let owned = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    Delivery {
        transport: Transport::Http,
        method: "POST".to_owned(),
        headers: owned(headers),
        query: owned(query),
        body: Bytes::from_static(BODY.as_bytes()),
    }
}

#[track_caller]
fn check(way: Authentication, headers: &[(&str, &str)], query: &[(&str, &str)], expect: bool) {
    let settings = Settings {
        authentication: vec![way],
        ..Settings::default()
    };
    assert_eq!(shows_token(&request(headers, query), &settings), expect);
}

#[test]
fn tokens_count_where_they_are_expected() {
    let bearer = || Authentication::Bearer("t0ken".into());
    check(bearer(), &[("authorization", "Bearer t0ken")], &[], true);
    check(bearer(), &[("authorization", "bearer t0ken")], &[], true);
    check(bearer(), &[("authorization", "Bearer t0ke")], &[], false);
    check(bearer(), &[("authorization", "Bearer t0kenn")], &[], false);
    check(bearer(), &[("authorization", "Basic t0ken")], &[], false);
    check(bearer(), &[("authorization", "t0ken")], &[], false);
    check(bearer(), &[], &[("token", "t0ken")], false);

    let basic = || Authentication::Basic {
        user: "u".to_owned(),
        password: "p:w".into(),
    };
    check(basic(), &[("authorization", "Basic dTpwOnc=")], &[], true);
    check(basic(), &[("authorization", "Basic dTpwOng=")], &[], false);
    check(basic(), &[("authorization", "Basic ***")], &[], false);

    let header = || Authentication::Header {
        name: "x-token".to_owned(),
        value: "v".into(),
    };
    check(header(), &[("X-Token", "v")], &[], true);
    check(header(), &[("x-token", "w")], &[], false);

    let query = || Authentication::Query {
        name: "code".to_owned(),
        value: "v".into(),
    };
    check(query(), &[], &[("code", "v")], true);
    check(query(), &[], &[("code", "")], false);
}

#[test]
fn an_empty_token_opens_nothing() {
    check(
        Authentication::Bearer("".into()),
        &[("authorization", "Bearer ")],
        &[],
        false,
    );
}

#[test]
fn b2_signs_the_body_as_it_is() {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let right = format!("v1={}", hex::encode(hmac::sign(&key, BODY.as_bytes())));
    let old_and_right = format!("v1={}, {right}", "00".repeat(32));
    let check = |header: Option<&str>, secrets: &[&str]| {
        let headers: Vec<_> = header.iter().map(|value| (B2_HEADER, *value)).collect();
        let secrets: Vec<SecretString> = secrets.iter().map(|s| (*s).into()).collect();
        check_b2(&request(&headers, &[]), &secrets).map_err(|rejection| rejection.reason)
    };
    assert_eq!(check(Some(&right), &["other", SECRET]), Ok(()));
    assert_eq!(check(Some(&old_and_right), &[SECRET]), Ok(()));
    let wrong = Err(Reason::B2Signature);
    assert_eq!(check(None, &[SECRET]), wrong);
    assert_eq!(check(Some(&right), &["other"]), wrong);
    assert_eq!(check(Some(&right.replace("v1=", "v2=")), &[SECRET]), wrong);
    assert_eq!(check(Some(&right[..20]), &[SECRET]), wrong);
    assert_eq!(check(Some("v1="), &[SECRET]), wrong);
    let flood = format!("{}{right}", "v1=00,".repeat(1000));
    assert_eq!(check(Some(&flood), &[SECRET]), wrong);
}

#[test]
fn only_sns_itself_has_certificates() {
    let good = [
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.us-gov-west-1.amazonaws.com/a/b.pem",
        "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-0.pem",
    ];
    for url in good {
        assert!(is_certificate_url(url), "{url}");
    }
    let bad = [
        "http://sns.eu-west-1.amazonaws.com/a.pem",
        "HTTPS://sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/a.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/a.pem",
        "https://u:p@sns.eu-west-1.amazonaws.com/a.pem",
        "https://evil.example/https://sns.eu-west-1.amazonaws.com/a.pem",
        "https://evil.example#sns.eu-west-1.amazonaws.com/a.pem",
        "https://evil.example?.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/a.pem",
        "https://sns.evil.example\\.amazonaws.com/a.pem",
        "https://sns.evil.example/.amazonaws.com/a.pem",
        "https://sns.eu.west.amazonaws.com/a.pem",
        "https://sns.s3.amazonaws.com/a.pem",
        "https://sns.s3-us-west-2.amazonaws.com/a.pem",
        "https://sns..amazonaws.com/a.pem",
        "https://sns.amazonaws.com/a.pem",
        "https://xsns.eu-west-1.amazonaws.com/a.pem",
        "https://sns-eu-west-1.amazonaws.com/a.pem",
        "https://bucket.s3.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com.cn.evil/a.pem",
        "https://sns.eu-west-1.amazonaws.com/a.pem?x=1",
        "https://sns.eu-west-1.amazonaws.com/?x=/a.pem",
        "https://sns.eu-west-1.amazonaws.com/a.pem#b.pem",
        "https://sns.eu-west-1.amazonaws.com/a.txt",
        "https://sns.eu-west-1.amazonaws.com",
        "https://sns.eu-west-1.amazonaws.com\n/a.pem",
        "https://sns.eu-west-1.amazonaws.com%2f@evil.example/a.pem",
        " https://sns.eu-west-1.amazonaws.com/a.pem",
        "",
    ];
    for url in bad {
        assert!(!is_certificate_url(url), "{url}");
    }
}

#[test]
fn only_sns_itself_confirms() {
    let at = "https://sns.eu-west-1.amazonaws.com";
    assert!(is_subscribe_url(&format!(
        "{at}/?Action=ConfirmSubscription&TopicArn=a&Token=b"
    )));
    assert!(!is_subscribe_url(&format!(
        "{at}/?Action=Unsubscribe&SubscriptionArn=a"
    )));
    assert!(!is_subscribe_url(&format!(
        "{at}/x?Action=ConfirmSubscription"
    )));
    assert!(!is_subscribe_url(
        "https://169.254.169.254/?Action=ConfirmSubscription"
    ));
    let long = format!(
        "{at}/?Action=ConfirmSubscription&Token={}",
        "a".repeat(3000)
    );
    assert!(!is_subscribe_url(&long));
}

proptest! {
    #[test]
    fn no_certificate_breaks_the_reader(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        cut in any::<u16>(),
        at in any::<u16>(),
        byte in any::<u8>(),
    ) {
        let pem = |der: &[u8]| format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            STANDARD.encode(der)
        );
        let _ = certificate::rsa_key(&bytes);
        let _ = certificate::rsa_key(pem(&bytes).as_bytes());
        // Shaped like one, then cut and changed.
        let mut der = nested(&[0x30, 0x30, 0xa0]);
        der.truncate(usize::from(cut) % (der.len() + 1));
        if let Some(length) = der.len().checked_sub(1) {
            let index = usize::from(at) % (length + 1);
            der[index] = byte;
        }
        let _ = certificate::rsa_key(pem(&der).as_bytes());
    }
}

fn nested(tags: &[u8]) -> Vec<u8> {
    match tags.split_first() {
        Some((tag, rest)) => {
            let content = nested(rest);
            let mut value = vec![*tag, u8::try_from(content.len()).unwrap()];
            value.extend(content);
            value
        }
        None => vec![2, 1, 1],
    }
}
