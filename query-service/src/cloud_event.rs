//! Events as CloudEvents 1.0 (JSON format), as exports deliver them.

use daybook_event_store::RecordedEvent;
use serde_json::{Map, Value, json};

use crate::schema::rfc3339;

/// An event as a CloudEvent. `data` is its body with the references into the blob store resolved.
/// Names of extension attributes have lower-case letters and digits only (CloudEvents 1.0,
/// "Naming Conventions").
pub fn cloud_event(recorded: &RecordedEvent, ledger_id: Option<&str>, data: Value) -> Value {
    let mut event = Map::new();
    let mut set = |name: &str, value: Value| event.insert(name.to_owned(), value);
    set("specversion", json!("1.0"));
    set("id", json!(recorded.event_id.to_string()));
    set(
        "source",
        json!(format!("daybook:{}", ledger_id.unwrap_or("daybook"))),
    );
    set("type", json!(format!("daybook.{}", recorded.event_type)));
    set("subject", json!(recorded.stream.as_str()));
    set("time", json!(rfc3339(recorded.recorded_at)));
    set("datacontenttype", json!("application/json"));
    set("position", json!(recorded.position.0));
    set("streamversion", json!(recorded.version.0));
    set("schemaversion", json!(recorded.schema_version));
    let metadata = &recorded.metadata;
    for (name, value) in [
        ("correlationid", &metadata.correlation_id),
        ("causationid", &metadata.causation_id),
        ("actor", &metadata.actor),
        ("traceparent", &metadata.traceparent),
    ] {
        if let Some(value) = value {
            set(name, json!(value));
        }
    }
    set("data", data);
    Value::Object(event)
}
