//! `[telemetry]`: where traces go. OpenTelemetry's own variable stands in where the config is silent.

use super::ConfigError;
use super::check::Place;
use super::file::TelemetryTable;
use crate::telemetry::OtlpConfig;

/// OpenTelemetry's variable for the endpoint ("OTLP Exporter Configuration").
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

pub(super) fn check(
    place: &Place<'_>,
    table: &TelemetryTable,
) -> Result<Option<OtlpConfig>, ConfigError> {
    let at = "telemetry.otlp_endpoint";
    let endpoint = table.otlp_endpoint.clone();
    let Some(endpoint) = endpoint.or_else(|| std::env::var(ENDPOINT).ok()) else {
        return match table.otlp_headers.is_empty() {
            true => Ok(None),
            false => place.wrong(at, "headers need an endpoint; give http://HOST:4318"),
        };
    };
    // To a collector on this machine or in its network; one that wants TLS stands behind it.
    if !endpoint.starts_with("http://") {
        return place.wrong(
            at,
            format!("{endpoint} is not of the form http://HOST:4318; traces go by OTLP over HTTP"),
        );
    }
    let mut headers = std::collections::HashMap::new();
    for (name, secret) in &table.otlp_headers {
        match secret.resolve(place.folder()) {
            Ok(value) => headers.insert(name.clone(), value),
            Err(problem) => return place.wrong(&format!("telemetry.otlp_headers.{name}"), problem),
        };
    }
    Ok(Some(OtlpConfig {
        endpoint,
        service: table
            .service_name
            .clone()
            .unwrap_or_else(|| "daybook".to_owned()),
        headers,
    }))
}
