-- Messages, and the outbox through which committed messages reach Kafka.

create table message (
    id uuid primary key,              -- version 7, so that new rows sit together
    sender text not null,
    recipient text not null,
    text text not null,
    -- All states of the design, although this version writes only the first three: in a rolling update this
    -- version reads rows of the next one, and a longer list later would need a new constraint over all rows.
    status text not null default 'PENDING' check (
        status in ('PENDING', 'SENT', 'FAILED', 'SCHEDULED', 'CANCELED', 'EXPIRED', 'UNKNOWN')
    ),
    failure_reason text,
    attempt integer not null default 1 check (attempt >= 1),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
    -- No index on status, not even in a predicate: a status change would cease to be a HOT update.
);

-- One row per committed batch; it lives until Kafka has acknowledged every record of the batch.
create table outbox (
    id bigint generated always as identity primary key,
    message_ids uuid[] not null,
    traceparents text[] not null,     -- parallel to message_ids; null where a request was not traced
    leased_until timestamptz not null, -- by the clock of this database; whoever finds it past may take the row
    created_at timestamptz not null default now(),
    check (cardinality(message_ids) = cardinality(traceparents))
) with (
    -- Rows live for milliseconds: a vacuum that waits for a share of the table would never keep up.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000
);

create index outbox_leased_until on outbox (leased_until);
