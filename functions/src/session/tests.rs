use std::pin::pin;

use tokio_util::sync::CancellationToken;

use super::*;

fn delivery() -> (Delivery, oneshot::Receiver<Reply>) {
    let (reply, replied) = oneshot::channel();
    let delivery = Delivery {
        request_id: crate::clock::new_id(),
        deadline_ms: 0,
        trace_id: String::new(),
        traceparent: None,
        payload: Bytes::new(),
        reply,
    };
    (delivery, replied)
}

fn response(text: &'static str) -> Reply {
    Reply::Response(Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn a_poll_that_is_lost_loses_no_work() {
    let session = Session::default();
    {
        let mut lost = pin!(session.next());
        tokio::select! {
            biased;
            _ = &mut lost => panic!("there is no work"),
            () = session.ready() => {}
        }
    }
    let (delivery, mut replied) = delivery();
    let id = delivery.request_id;
    session.deliver(delivery);
    let taken = session.next().await.ok().unwrap();
    assert_eq!(taken.request_id, id);
    session
        .answer(Some(id), "InvocationResponse", response("1"))
        .unwrap();
    assert_eq!(replied.try_recv().unwrap(), response("1"));
}

#[tokio::test]
async fn work_can_be_taken_back_until_it_is_picked_up() {
    let session = Session::default();
    let (first, _) = delivery();
    session.deliver(first);
    assert!(session.withdraw());
    assert!(!session.withdraw());
    let (second, _) = delivery();
    let id = second.request_id;
    session.deliver(second);
    assert_eq!(session.next().await.ok().unwrap().request_id, id);
    assert!(!session.withdraw());
}

#[tokio::test]
async fn of_two_polls_one_gets_the_work() {
    let session = Session::default();
    let (first, _) = delivery();
    session.deliver(first);
    let token = CancellationToken::new();
    let both = async { tokio::join!(session.next(), token.run_until_cancelled(session.next())) };
    let cancel = async { token.cancel() };
    let ((one, two), ()) = tokio::join!(both, cancel);
    assert_eq!(
        usize::from(one.is_ok()) + usize::from(two.is_some_and(|two| two.is_ok())),
        1
    );
}

#[tokio::test]
async fn a_start_that_failed_stays_failed() {
    let session = Session::default();
    let report = ErrorReport {
        header_type: None,
        body: Bytes::from_static(b"{}"),
    };
    session.init_failed(report.clone()).unwrap();
    assert_eq!(session.initialized().await, Err(report.clone()));
    let refusal = Refusal::WrongPhase {
        from: "RuntimeInitError",
        to: "Ready",
    };
    assert_eq!(session.next().await.err(), Some(refusal));
    assert!(session.init_failed(report).is_err());
    let id = Some(crate::clock::new_id());
    assert!(
        session
            .answer(id, "InvocationResponse", response("1"))
            .is_err()
    );
}

#[tokio::test]
async fn an_answer_after_its_time_is_accepted_but_goes_nowhere() {
    let session = Session::default();
    let (delivery, replied) = delivery();
    let id = Some(delivery.request_id);
    session.deliver(delivery);
    session.next().await.ok().unwrap();
    drop(replied);
    session
        .answer(id, "InvocationResponse", response("1"))
        .unwrap();
}
