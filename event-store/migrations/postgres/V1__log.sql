-- The log: one table of events and one row that says where it ends.
--
-- Names are found through the search path of the session, which holds this schema only.

-- Where the log ends. Whoever appends locks its one row first, takes the positions after it and
-- commits: so the order of commits is the order of positions.
CREATE TABLE head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    position bigint NOT NULL,
    recorded_at timestamptz NOT NULL
) WITH (fillfactor = 10);

INSERT INTO head (position, recorded_at) VALUES (0, '0001-01-01 00:00:00+00');

CREATE TABLE events (
    position bigint PRIMARY KEY,
    -- The position of the stream's first event.
    stream_id bigint NOT NULL,
    version bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    schema_version bigint NOT NULL,
    event_id uuid NOT NULL,
    -- The name of the stream, with its first event only.
    stream text COLLATE "C" CHECK ((stream IS NOT NULL) = (version = 0)),
    event_type text COLLATE "C" NOT NULL,
    data bytea NOT NULL,
    -- JSON; null where there is nothing.
    metadata text COLLATE "C",
    salt bytea NOT NULL
);

CREATE UNIQUE INDEX events_by_stream ON events (stream_id, version);
CREATE UNIQUE INDEX streams_by_name ON events (stream) WHERE stream IS NOT NULL;

-- For people: each event with the name of its stream, and its body as text where it is text.
CREATE VIEW readable AS
    SELECT e.position, s.stream, e.version, e.event_type, e.recorded_at,
           encode(e.data, 'escape') AS data, e.metadata, e.event_id
    FROM events e JOIN events s ON s.position = e.stream_id;

-- Big bodies by their digest.
CREATE TABLE blobs (
    sha256 bytea PRIMARY KEY CHECK (length(sha256) = 32),
    content bytea NOT NULL
);

-- Appends events to streams that are at the expected version (-1: it does not exist yet), and
-- leaves out those that are not. It tells where the log ended before, and the version at which it
-- found each stream. `first_places` names, for each stream, the place of its first event among all.
CREATE FUNCTION append_events(
    now timestamptz,
    names text[], expected bigint[], first_places int[],
    stream_indices int[], versions bigint[], event_ids uuid[], event_types text[],
    schema_versions bigint[], data bytea[], metadata text[], salts bytea[],
    OUT before bigint, OUT actual bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz;
    -- 0 stands for none: arrays with nulls cannot be indexed quickly.
    stream_ids bigint[];
    positions bigint[];
    taken bigint;
BEGIN
    SELECT h.position, greatest(h.recorded_at, append_events.now) INTO STRICT before, moment
        FROM head h FOR UPDATE;

    -- A statement of its own: it sees what was committed before the row was ours, and nobody
    -- appends until we have committed.
    SELECT array_agg(coalesce(s.stream_id, 0) ORDER BY w.index),
           array_agg(coalesce(s.version, -1) ORDER BY w.index)
        INTO stream_ids, actual
        FROM unnest(names) WITH ORDINALITY AS w(name, index)
        LEFT JOIN LATERAL (
            SELECT f.stream_id,
                   (SELECT max(l.version) FROM events l WHERE l.stream_id = f.stream_id) AS version
            FROM events f WHERE f.stream = w.name
        ) s ON true;

    SELECT array_agg(CASE WHEN n.fits THEN before + n.nth ELSE 0 END ORDER BY n.place),
           count(*) FILTER (WHERE n.fits)
        INTO positions, taken
        FROM (
            SELECT e.place, actual[e.stream] = expected[e.stream] AS fits,
                   count(*) FILTER (WHERE actual[e.stream] = expected[e.stream])
                       OVER (ORDER BY e.place) AS nth
            FROM unnest(stream_indices) WITH ORDINALITY AS e(stream, place)
        ) n;
    IF taken = 0 THEN
        RETURN;
    END IF;

    INSERT INTO events (position, stream_id, version, recorded_at, schema_version, event_id,
                        stream, event_type, data, metadata, salt)
        SELECT positions[e.place],
               CASE WHEN stream_ids[e.stream] > 0 THEN stream_ids[e.stream]
                    ELSE positions[first_places[e.stream]] END,
               e.version, moment, e.schema_version, e.event_id,
               CASE WHEN e.version = 0 THEN names[e.stream] END,
               e.event_type, e.data, e.metadata, e.salt
        FROM unnest(stream_indices, versions, event_ids, event_types, schema_versions,
                    append_events.data, append_events.metadata, salts)
             WITH ORDINALITY AS e(stream, version, event_id, event_type, schema_version,
                                  data, metadata, salt, place)
        WHERE positions[e.place] > 0;
    UPDATE head SET position = before + taken, recorded_at = moment;
END
$$;
