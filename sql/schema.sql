-- Everything distil-sql writes lives here, in the user's own database. Runnable by itself; changes nothing that exists.

-- Times are UTC without a zone: a zoned timestamp needs an extra package to be read from Python.

CREATE SCHEMA IF NOT EXISTS distil;

CREATE TABLE IF NOT EXISTS distil.meta (key VARCHAR, value VARCHAR);

CREATE TABLE IF NOT EXISTS distil.models (
    name VARCHAR PRIMARY KEY,
    type VARCHAR NOT NULL,
    options JSON NOT NULL,
    version INTEGER NOT NULL,
    created_at TIMESTAMP NOT NULL
);

CREATE TABLE IF NOT EXISTS distil.tasks (
    name VARCHAR PRIMARY KEY,
    version INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    arguments JSON NOT NULL,
    returns VARCHAR NOT NULL,
    system VARCHAR,
    prompt VARCHAR NOT NULL,
    parse VARCHAR,
    model VARCHAR,
    options JSON NOT NULL,
    created_at TIMESTAMP NOT NULL,
    origin VARCHAR
);

-- One row per finished call. The key is a hash of what decides the answer, so a row is its own proof of payment.
CREATE TABLE IF NOT EXISTS distil.calls (
    call_id UUID PRIMARY KEY,
    task VARCHAR,
    task_version INTEGER,
    model VARCHAR,
    sample INTEGER,
    messages JSON,
    response VARCHAR,
    status VARCHAR,
    error_kind VARCHAR,
    error VARCHAR,
    finish_reason VARCHAR,
    attempts INTEGER,
    input_tokens BIGINT,
    output_tokens BIGINT,
    cached_tokens BIGINT,
    cost DOUBLE,
    latency_ms DOUBLE,
    run_id UUID,
    created_at TIMESTAMP,
    scores JSON,
    reasoning_tokens BIGINT
);

-- What a model says of its answer beside the answer: {"probabilities": {label: …}, "logprobs": [{"token": …, "logprob": …}]}
ALTER TABLE distil.calls ADD COLUMN IF NOT EXISTS scores JSON;
-- Those of the output tokens that were thoughts; paid for as output, and no part of the response.
ALTER TABLE distil.calls ADD COLUMN IF NOT EXISTS reasoning_tokens BIGINT;

CREATE TABLE IF NOT EXISTS distil.runs (
    run_id UUID,
    script VARCHAR,
    script_hash VARCHAR,
    state VARCHAR,
    error VARCHAR,
    started_at TIMESTAMP,
    finished_at TIMESTAMP
);

CREATE TABLE IF NOT EXISTS distil.status (
    run_id UUID,
    statement_no INTEGER,
    statement VARCHAR,
    target VARCHAR,
    state VARCHAR,
    mode VARCHAR,
    calls_total BIGINT,
    calls_done BIGINT,
    calls_failed BIGINT,
    ledger_hits BIGINT,
    input_tokens BIGINT,
    output_tokens BIGINT,
    cost DOUBLE,
    note VARCHAR,
    started_at TIMESTAMP,
    finished_at TIMESTAMP
);

-- Three views to read in any shell; each fits a terminal of 80 columns.

-- Why rows are NULL: the calls that failed, newest first. All there is to know of them is in distil.calls.
CREATE VIEW IF NOT EXISTS distil.failures AS
SELECT strftime(created_at, '%m-%d %H:%M') AS failed_at, task, concat_ws(': ', error_kind, error) AS error,
    messages ->> '$[#-1].content' AS prompt
FROM distil.calls
WHERE status = 'error'
ORDER BY created_at DESC, call_id;

-- What was paid for, by run (newest first), task and model. `run` is when it started, in UTC.
CREATE VIEW IF NOT EXISTS distil.costs AS
SELECT strftime(coalesce(any_value(r.started_at), min(c.created_at)), '%m-%d %H:%M') AS run, c.task, c.model,
    count(*) AS calls, sum(c.input_tokens + c.output_tokens)::BIGINT AS tokens, round(sum(c.cost), 6) AS cost
FROM distil.calls c
LEFT JOIN distil.runs r ON r.run_id = c.run_id
GROUP BY c.run_id, c.task, c.model
ORDER BY coalesce(any_value(r.started_at), min(c.created_at)) DESC, c.run_id, min(c.created_at), c.task, c.model;

-- How far each statement of the latest run is. `rows` is what the table that it writes holds now, `rate` its calls a
-- second, and `time_left` what its other calls will take at that rate.
CREATE VIEW IF NOT EXISTS distil.progress AS
WITH latest AS (
    SELECT *, coalesce(calls_total, 0) + coalesce(ledger_hits, 0) AS needed,
        coalesce(calls_done, 0) + coalesce(ledger_hits, 0) AS answered,
        date_diff('millisecond', started_at, coalesce(finished_at, make_timestamp(epoch_us(now())))) / 1000 AS seconds
    FROM distil.status
    WHERE run_id = (SELECT run_id FROM distil.runs ORDER BY started_at DESC LIMIT 1)
)
SELECT l.statement_no AS no, l.target, l.state,
    CASE WHEN l.state IN ('done', 'skipped') THEN 100 WHEN l.needed > 0 THEN floor(100 * l.answered / l.needed)
        ELSE 0 END::INTEGER AS percent,
    (SELECT max(t.estimated_size) FROM duckdb_tables() t WHERE t.database_name = current_database()
        AND lower(l.target) IN (lower(t.table_name), lower(t.schema_name || '.' || t.table_name))) AS rows,
    round(nullif(l.calls_done, 0) / nullif(l.seconds, 0), 1) AS rate,
    CASE WHEN l.state = 'running' AND l.calls_done > 0
        THEN to_seconds(round((l.needed - l.answered) * l.seconds / l.calls_done)) END AS time_left
FROM latest l
ORDER BY l.statement_no;
