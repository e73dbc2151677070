//! The tables of the read model.
//!
//! Times are microseconds since 1970 (UTC). `position` is always that of the event that made the
//! row, so it is unique and grows with time.

/// The version of the tables below and of what is folded into them. Raise it with any change to
/// either: a file of another version is thrown away and made again from the log.
pub(crate) const SCHEMA_VERSION: i64 = 6;

/// The projections by name, each with its tables. They share one file and one checkpoint.
pub const PROJECTIONS: &[(&str, &[&str])] = &[
    ("objects", &["objects", "object_versions", "notifications"]),
    (
        "executions",
        &[
            "executions",
            "object_costs",
            "steps",
            "attempts",
            "failures",
        ],
    ),
    ("lineage", &["lineage"]),
    ("pipelines", &["pipelines", "pipeline_revisions"]),
    ("functions", &["functions", "function_revisions"]),
    ("replays", &["replays"]),
    ("reconciles", &["reconciles"]),
    ("exports", &["exports"]),
    ("events", &["events"]),
    ("statistics", &["counters", "series"]),
];

pub(crate) const DDL: &str = "
CREATE TABLE checkpoint (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  position INTEGER NOT NULL,
  event_id TEXT,
  recorded_at INTEGER
);
INSERT INTO checkpoint (id, position) VALUES (1, 0);

CREATE TABLE objects (
  bucket TEXT NOT NULL, key TEXT NOT NULL,
  version INTEGER NOT NULL,
  status TEXT NOT NULL, present INTEGER NOT NULL,
  etag TEXT, size INTEGER,
  PRIMARY KEY (bucket, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX objects_by_version ON objects (version);
CREATE INDEX objects_by_status ON objects (status, version);
CREATE INDEX objects_by_bucket ON objects (bucket, version);
CREATE INDEX objects_by_etag ON objects (etag) WHERE etag IS NOT NULL;

CREATE TABLE object_versions (
  position INTEGER PRIMARY KEY,
  bucket TEXT NOT NULL, key TEXT NOT NULL, identity TEXT NOT NULL,
  version_id TEXT, etag TEXT, size INTEGER, modified_at INTEGER,
  created_at INTEGER NOT NULL, removed_at INTEGER,
  channel TEXT NOT NULL, event_name TEXT NOT NULL,
  by_execution TEXT, by_function TEXT, by_attempt INTEGER,
  wanted TEXT NOT NULL, status TEXT NOT NULL
);
CREATE INDEX object_versions_by_key ON object_versions (bucket, key, position);
CREATE INDEX object_versions_by_producer ON object_versions (by_execution) WHERE by_execution IS NOT NULL;

CREATE TABLE notifications (
  position INTEGER PRIMARY KEY,
  bucket TEXT NOT NULL, key TEXT NOT NULL,
  verdict TEXT NOT NULL, reason TEXT, why TEXT NOT NULL,
  version_id TEXT, etag TEXT, size INTEGER,
  channel TEXT NOT NULL, source TEXT NOT NULL,
  event_name TEXT, event_time INTEGER, sequencer TEXT, region TEXT,
  repeats INTEGER NOT NULL, recorded_at INTEGER NOT NULL
);
CREATE INDEX notifications_by_key ON notifications (bucket, key, position);

CREATE TABLE executions (
  position INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  pipeline TEXT NOT NULL, pipeline_revision INTEGER NOT NULL,
  bucket TEXT NOT NULL, key TEXT NOT NULL, identity TEXT NOT NULL,
  version_id TEXT, etag TEXT, size INTEGER,
  object_version INTEGER, generation INTEGER NOT NULL,
  status TEXT NOT NULL,
  cause TEXT NOT NULL, redrive_of TEXT, replay TEXT, reason TEXT, actor TEXT NOT NULL, shadow TEXT,
  started_at INTEGER NOT NULL, stopped_at INTEGER, stopped_position INTEGER,
  error TEXT, error_cause TEXT, fingerprint TEXT,
  billed_ms INTEGER NOT NULL DEFAULT 0, mib_ms INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX executions_by_object ON executions (bucket, key, identity, pipeline);
CREATE INDEX executions_by_version ON executions (object_version);
CREATE INDEX executions_by_status ON executions (status, position);
CREATE INDEX executions_by_pipeline ON executions (pipeline, position);
CREATE INDEX executions_by_stop ON executions (stopped_at, position);
CREATE INDEX executions_by_replay ON executions (replay, position) WHERE replay IS NOT NULL;
CREATE INDEX executions_by_fingerprint ON executions (fingerprint, position) WHERE fingerprint IS NOT NULL;

CREATE TABLE object_costs (
  bucket TEXT NOT NULL, key TEXT NOT NULL,
  billed_ms INTEGER NOT NULL, mib_ms INTEGER NOT NULL,
  PRIMARY KEY (bucket, key)
) WITHOUT ROWID;

CREATE TABLE steps (
  execution INTEGER NOT NULL, task INTEGER NOT NULL,
  state TEXT NOT NULL, function TEXT NOT NULL,
  entered_at INTEGER NOT NULL, entered_position INTEGER NOT NULL,
  exited_at INTEGER, exited_position INTEGER,
  PRIMARY KEY (execution, task)
) WITHOUT ROWID;

CREATE TABLE attempts (
  execution INTEGER NOT NULL, task INTEGER NOT NULL, attempt INTEGER NOT NULL,
  function TEXT NOT NULL, status TEXT NOT NULL,
  due_at INTEGER, scheduled_at INTEGER, started_at INTEGER, stopped_at INTEGER,
  outcome_position INTEGER,
  code_revision INTEGER, code_sha256 TEXT, worker TEXT, timeout_seconds INTEGER,
  duration_ms INTEGER, init_ms INTEGER, max_memory_bytes INTEGER,
  lineage_known INTEGER, refused TEXT,
  error TEXT, error_cause TEXT,
  request_id TEXT, billed_ms INTEGER, memory_bytes INTEGER,
  PRIMARY KEY (execution, task, attempt)
) WITHOUT ROWID;

CREATE TABLE failures (
  fingerprint TEXT PRIMARY KEY,
  pipeline TEXT NOT NULL, error TEXT NOT NULL, message TEXT NOT NULL,
  count INTEGER NOT NULL,
  first_position INTEGER NOT NULL, last_position INTEGER NOT NULL,
  first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
  last_execution TEXT NOT NULL
);
CREATE INDEX failures_by_last ON failures (last_position);

CREATE TABLE lineage (
  execution INTEGER NOT NULL, task INTEGER NOT NULL, attempt INTEGER NOT NULL,
  kind TEXT NOT NULL, ordinal INTEGER NOT NULL,
  bucket TEXT NOT NULL, key TEXT NOT NULL, version_id TEXT, etag TEXT, size INTEGER,
  staged INTEGER NOT NULL, ranges TEXT,
  PRIMARY KEY (execution, task, attempt, kind, ordinal)
) WITHOUT ROWID;
CREATE INDEX lineage_by_object ON lineage (bucket, key, kind);

CREATE TABLE pipelines (
  name TEXT PRIMARY KEY,
  position INTEGER NOT NULL, revision INTEGER NOT NULL, sha256 TEXT NOT NULL,
  definition TEXT NOT NULL, triggers TEXT NOT NULL,
  paused INTEGER NOT NULL, retired INTEGER NOT NULL,
  actor TEXT NOT NULL, revised_at INTEGER NOT NULL
);
CREATE TABLE pipeline_revisions (
  name TEXT NOT NULL, position INTEGER NOT NULL, revision INTEGER NOT NULL, sha256 TEXT NOT NULL,
  actor TEXT NOT NULL, revised_at INTEGER NOT NULL,
  PRIMARY KEY (name, position)
) WITHOUT ROWID;

CREATE TABLE functions (
  name TEXT PRIMARY KEY,
  position INTEGER NOT NULL, revision INTEGER NOT NULL, sha256 TEXT NOT NULL,
  package_bytes INTEGER NOT NULL,
  runtime TEXT NOT NULL, handler TEXT NOT NULL, timeout_ms INTEGER NOT NULL, memory_bytes INTEGER NOT NULL,
  actor TEXT NOT NULL, revised_at INTEGER NOT NULL
);
CREATE TABLE function_revisions (
  name TEXT NOT NULL, position INTEGER NOT NULL, revision INTEGER NOT NULL, sha256 TEXT NOT NULL,
  actor TEXT NOT NULL, revised_at INTEGER NOT NULL,
  PRIMARY KEY (name, position)
) WITHOUT ROWID;

CREATE TABLE replays (
  id TEXT PRIMARY KEY, position INTEGER NOT NULL UNIQUE,
  pipeline TEXT NOT NULL, selection TEXT NOT NULL, at_position INTEGER NOT NULL,
  planned INTEGER NOT NULL, done INTEGER NOT NULL, phase TEXT NOT NULL,
  actor TEXT NOT NULL, reason TEXT,
  started_at INTEGER NOT NULL, stopped_at INTEGER
);

CREATE TABLE reconciles (
  id TEXT PRIMARY KEY, position INTEGER NOT NULL UNIQUE,
  bucket TEXT NOT NULL, prefix TEXT NOT NULL, dry_run INTEGER NOT NULL, pipeline TEXT,
  source TEXT NOT NULL, actor TEXT NOT NULL, reason TEXT, at_position INTEGER NOT NULL,
  phase TEXT NOT NULL, key TEXT, counts TEXT NOT NULL, end_position INTEGER, why TEXT,
  started_at INTEGER NOT NULL, stopped_at INTEGER,
  revision INTEGER, done_at INTEGER, became TEXT
);

CREATE TABLE exports (
  id TEXT PRIMARY KEY, position INTEGER NOT NULL UNIQUE,
  range TEXT NOT NULL, format TEXT NOT NULL, actor TEXT NOT NULL, reason TEXT,
  started_at INTEGER NOT NULL, completed_at INTEGER, events INTEGER, sha256 TEXT
);

CREATE TABLE events (
  position INTEGER PRIMARY KEY,
  stream TEXT NOT NULL, version INTEGER NOT NULL, event_id TEXT NOT NULL,
  type TEXT NOT NULL, schema_version INTEGER NOT NULL, recorded_at INTEGER NOT NULL,
  actor TEXT, correlation_id TEXT, causation_id TEXT
);
CREATE INDEX events_by_stream ON events (stream, position);
CREATE INDEX events_by_type ON events (type, position);
CREATE INDEX events_by_time ON events (recorded_at, position);
CREATE INDEX events_by_actor ON events (actor, position) WHERE actor IS NOT NULL;
CREATE INDEX events_by_correlation ON events (correlation_id, position) WHERE correlation_id IS NOT NULL;

CREATE TABLE counters (
  kind TEXT NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL,
  PRIMARY KEY (kind, name)
) WITHOUT ROWID;
CREATE TABLE series (
  width INTEGER NOT NULL, start INTEGER NOT NULL, pipeline TEXT NOT NULL, name TEXT NOT NULL,
  value INTEGER NOT NULL,
  PRIMARY KEY (width, start, pipeline, name)
) WITHOUT ROWID;
";
