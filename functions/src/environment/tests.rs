use super::*;

#[test]
fn a_trace_keeps_its_ids() {
    let id = Uuid::nil();
    assert_eq!(
        trace_id(
            Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            id
        ),
        "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1"
    );
    let unknown = "Root=1-00000000-000000000000000000000000;Sampled=0";
    assert_eq!(trace_id(None, id), unknown);
    assert_eq!(trace_id(Some("00-short-b7ad6b7169203331-01"), id), unknown);
    assert_eq!(trace_id(Some("\r\nX-Evil: 1"), id), unknown);
}
