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
    scores JSON
);

-- What a model says of its answer beside the answer: {"probabilities": {label: …}, "logprobs": [{"token": …, "logprob": …}]}
ALTER TABLE distil.calls ADD COLUMN IF NOT EXISTS scores JSON;

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
