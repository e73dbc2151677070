//! The parts that need no process of their own, and the launcher for the tests that do.

use super::*;

/// Not a test by itself: what the host starts in this crate's tests, as `daybook launch` elsewhere.
#[test]
#[ignore = "is run by other tests, in a process of its own"]
fn launches() {
    if let Some(argument) = std::env::args()
        .next_back()
        .filter(|last| last.starts_with('{'))
    {
        std::process::exit(launch(&argument));
    }
}

#[test]
fn a_required_sandbox_may_lack_its_own_tmp_alone() {
    let mut report = SandboxReport {
        holds: vec![SandboxPart::Files, SandboxPart::Tcp, SandboxPart::Signals],
    };
    assert_eq!(
        report.lacks_required().as_deref(),
        Some("system calls (seccomp, on x86_64 or aarch64)")
    );
    report.holds.push(SandboxPart::SystemCalls);
    assert_eq!(report.lacks_required(), None);
    assert_eq!(report.lacks().collect::<Vec<_>>(), [SandboxPart::OwnTmp]);
}

#[test]
fn each_mode_has_its_name() {
    for mode in [
        SandboxMode::Required,
        SandboxMode::Available,
        SandboxMode::Off,
    ] {
        assert_eq!(mode.as_str().parse(), Ok(mode));
    }
    let error = "on".parse::<SandboxMode>().unwrap_err();
    assert!(error.to_string().contains("\"on\""), "{error}");
}
