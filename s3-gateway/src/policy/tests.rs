use super::*;

#[test]
fn stars_match_any_text() {
    let check = |pattern: &str, text: &str, expect: bool| {
        assert_eq!(matches(pattern, text), expect, "{pattern} on {text}");
    };
    check("inbox/*", "inbox/a", true);
    check("inbox/*", "inbox/a/b.csv", true);
    check("inbox/*", "inbox2/a", false);
    check("inbox/*.csv", "inbox/a.csv", true);
    check("inbox/*.csv", "inbox/a.csv.gz", false);
    check("inbox/a*b*c", "inbox/aXbYbZc", true);
    check("inbox/a*b*c", "inbox/aXc", false);
    check("inbox/a*a", "inbox/a", false);
    check("*", "inbox/a", true);
    check("inbox/[a]?", "inbox/a1", false);
    check("inbox/a", "inbox/a", true);
    check("inbox/a", "inbox/ab", false);
}

#[test]
fn a_policy_touches_the_buckets_of_its_patterns() {
    let policy = |pattern: &str| Policy {
        read: vec![pattern.to_owned()],
        write: vec![],
    };
    let check = |pattern: &str, bucket: &str, expect: bool| {
        assert_eq!(
            policy(pattern).touches(Access::Read, bucket),
            expect,
            "{pattern} on {bucket}"
        );
    };
    check("inbox/*", "inbox", true);
    check("inbox/2026/*", "inbox", true);
    check("inbox/a", "inbox", true);
    check("inbox/*", "inbo", false);
    check("in*", "inbox", true);
    check("*", "inbox", true);
    check("results/*", "inbox", false);
    assert!(!policy("inbox/*").touches(Access::Write, "inbox"));
}

#[test]
fn a_prefix_may_hold_what_a_pattern_allows() {
    let policy = Policy {
        read: vec!["inbox/a/b*".to_owned(), "inbox/c/d".to_owned()],
        write: vec!["inbox/*".to_owned()],
    };
    for (prefix, may) in [
        ("", true),
        ("a/", true),
        ("a/bb/", true),
        ("a/c", false),
        ("c/", true),
        ("c/d/", false),
        ("e/", false),
    ] {
        let touched = policy.may_touch(Access::Read, "inbox", prefix);
        assert_eq!(touched, may, "{prefix}");
    }
}

#[test]
fn only_a_pattern_for_all_keys_covers_a_bucket() {
    let covers = |pattern: &str| {
        let policy = Policy {
            read: Vec::new(),
            write: vec![pattern.to_owned()],
        };
        policy.covers(Access::Write, "inbox")
    };
    for (pattern, wanted) in [
        ("*", true),
        ("inbox/*", true),
        ("in*", true),
        ("inbox/a*", false),
        ("*/a*", false),
        ("inbox/", false),
        ("inbox2/*", false),
    ] {
        assert_eq!(covers(pattern), wanted, "{pattern}");
    }
}

#[test]
fn prefixes_of_what_may_be_read() {
    let check = |patterns: &[&str], expect: &[&str]| {
        let read = patterns.iter().map(|pattern| (*pattern).to_owned());
        let policy = Policy {
            read: read.collect(),
            write: Vec::new(),
        };
        assert_eq!(
            policy.key_prefixes(Access::Read, "inbox"),
            expect,
            "{patterns:?}"
        );
    };
    check(
        &["inbox/b/*", "inbox/a", "inbox/b/c*", "results/*"],
        &["a", "b/"],
    );
    check(&["inbox/*.csv"], &[""]);
    check(&["in*"], &[""]);
    check(&["inbox", "out*", "inbox/"], &[""]);
    check(&["inbox", "inbox2/*"], &[]);
}
