use eventstore::{CurrentRevision, Endpoint, Error, ExpectedRevision, GrpcConnectionError};
use tonic::{Code, Status};

use super::{Actual, Fault};
use crate::{AppendError, ReadError, StreamVersion};

/// What the class of a fault and its words are.
fn check(error: Error, class: &str, words: &str) {
    let fault = Fault::from(error.clone());
    let shown = format!("{fault:?}");
    assert!(shown.starts_with(class), "{error:?} became {shown}");
    assert!(shown.contains(words), "{error:?} became {shown}");
}

fn of_status(status: Status) -> Error {
    Error::from_grpc(status)
}

#[test]
fn errors_of_the_client() {
    let endpoint = Endpoint {
        host: "b".into(),
        port: 7,
    };
    check(Error::NotLeaderException(endpoint), "NotLeader", "b:7");
    check(Error::ConnectionClosed, "NotDone", "tlsCaFile");
    let discovery = GrpcConnectionError::MaxDiscoveryAttemptReached(3);
    check(Error::GrpcConnectionError(discovery), "NotDone", "is it up");
    check(Error::AccessDenied, "Refused", "needs to read $all");
    check(Error::UnsupportedFeature, "Refused", "20.6");
    check(Error::ResourceNotFound, "NotFound", "");
    check(Error::ResourceDeleted, "Damaged", "deleted");
    check(Error::DeadlineExceeded, "Unclear", "");
    check(Error::InternalClientError, "Unclear", "");
    let wrong = Error::WrongExpectedVersion {
        expected: ExpectedRevision::Exact(1),
        current: CurrentRevision::Current(5),
    };
    let told = Actual::Told(Some(StreamVersion(5)));
    assert_eq!(Fault::from(wrong), Fault::WrongVersion(told));
    let wrong = Error::WrongExpectedVersion {
        expected: ExpectedRevision::Exact(1),
        current: CurrentRevision::NoStream,
    };
    assert_eq!(Fault::from(wrong), Fault::WrongVersion(Actual::Told(None)));
}

#[test]
fn statuses_of_the_server() {
    let status = |code, message: &str| of_status(Status::new(code, message));
    check(
        status(Code::Unavailable, "Server Is Not Ready"),
        "NotDone",
        "",
    );
    check(
        status(Code::Unavailable, "Server Is Too Busy"),
        "NotDone",
        "",
    );
    check(
        status(Code::Unavailable, "client error (Connect)"),
        "NotDone",
        "",
    );
    check(
        status(Code::Unavailable, "connection reset"),
        "Unclear",
        "reset",
    );
    check(status(Code::Internal, "h2 protocol error"), "Unclear", "h2");
    check(
        status(Code::Unknown, "No leader info available in response"),
        "Unclear",
        "No leader",
    );
    check(
        status(Code::Aborted, "Operation timed out"),
        "Unclear",
        "timed",
    );
    check(status(Code::DeadlineExceeded, ""), "Unclear", "");
    check(
        status(Code::PermissionDenied, "Access Denied"),
        "Refused",
        "",
    );
    check(status(Code::Unauthenticated, ""), "Refused", "");
    check(
        status(
            Code::InvalidArgument,
            "Maximum Append Size of 1048576 Exceeded.",
        ),
        "Invalid",
        "MaxAppendSize 4194304",
    );
    check(status(Code::InvalidArgument, "what?"), "Invalid", "what?");
    check(
        status(Code::ResourceExhausted, "too large"),
        "Invalid",
        "large",
    );
    check(
        status(
            Code::FailedPrecondition,
            "Append failed due to WrongExpectedVersion. Stream: a",
        ),
        "WrongVersion(Untold)",
        "",
    );
    check(
        status(Code::ResourceExhausted, "h2 protocol error: http2 error"),
        "Unclear",
        "h2",
    );
    check(
        status(Code::Unknown, "Unexpected ReadAllResult: Expired"),
        "Unclear",
        "Expired",
    );
    check(
        status(Code::Unknown, "Unexpected ReadAllResult: InvalidPosition"),
        "NoSuchPosition",
        "",
    );
}

#[test]
fn what_callers_are_told() {
    let text = || "x".to_owned();
    let append = |fault: Fault| fault.into_append_error();
    for fault in [
        Fault::NotDone(text()),
        Fault::NotLeader(text()),
        Fault::Refused(text()),
    ] {
        assert!(matches!(append(fault), AppendError::Unavailable(_)));
    }
    assert!(matches!(
        append(Fault::Unclear(text())),
        AppendError::Unknown(_)
    ));
    for fault in [Fault::Invalid(text()), Fault::Damaged(text())] {
        assert!(matches!(append(fault), AppendError::Invalid(_)));
    }

    let read = |fault: Fault| fault.into_read_error();
    assert!(matches!(
        read(Fault::Damaged(text())),
        ReadError::Damaged(_)
    ));
    for fault in [
        Fault::NotDone(text()),
        Fault::NotLeader(text()),
        Fault::Refused(text()),
        Fault::Unclear(text()),
        Fault::Invalid(text()),
        Fault::NoSuchPosition,
    ] {
        assert!(matches!(read(fault), ReadError::Unavailable(_)));
    }
}

#[test]
fn a_leader_that_is_named_needs_no_new_connection() {
    let text = || "x".to_owned();
    assert!(Fault::NotDone(text()).wants_new_connection());
    assert!(Fault::Unclear(text()).wants_new_connection());
    assert!(!Fault::NotLeader(text()).wants_new_connection());
    assert!(!Fault::Refused(text()).wants_new_connection());
}
