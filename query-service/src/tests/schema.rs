//! The committed schema is the one that runs.

use std::path::PathBuf;

/// Run with `UPDATE_SCHEMA=1` to write the file anew.
#[test]
fn the_committed_schema_is_the_one_that_runs() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schema.graphql");
    let sdl = crate::sdl();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &sdl).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == sdl,
        "query-service/schema.graphql is not the schema that runs; if the change is meant, run \
         UPDATE_SCHEMA=1 cargo nextest run -p daybook-query-service the_committed_schema"
    );
}
