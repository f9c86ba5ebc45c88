-- Messages, what became of them, how many there are, and the outbox through which they reach Kafka.

-- One partition a day (UTC) by the time inside the id, so that retention is DROP TABLE and what is recent lies
-- together. Partitions are made ahead and dropped by sms-api itself (src/maintenance.rs): no migration makes one.
create table message (
    id uuid primary key,              -- version 7: its first 48 bits are milliseconds since 1970
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
) partition by range (id);

-- Takes what has no partition: ids of a clock that is days wrong, or of a time in which nobody made partitions.
-- Such a message is accepted, found and kept like every other one, and moves when its partition is made. The
-- price: DETACH CONCURRENTLY is not possible, and making a partition looks through this table, normally empty.
create table message_default partition of message default;

-- The states that a message went through, as far as its own row does not tell them. The row tells the first one,
-- when it was PENDING, by created_at, and the present one by updated_at, attempt and failure_reason. A statement
-- that overwrites any other state writes that state here: a failed attempt before a retry, a SCHEDULED before it
-- is PENDING. So the usual way, PENDING to SENT or FAILED, writes nothing here.
--
-- Why not a row for every state: measured (PostgreSQL 18, batches of 200, one row per state) it costs 45 % more CPU
-- and 58 % more WAL per message accepted, 25 % more CPU per report, and 99 bytes twice beside a row of 236.
create table message_event (
    message_id uuid not null,
    at timestamptz not null,          -- when the message came into this state
    status text not null,
    attempt integer not null,
    reason text
) partition by range (message_id);

create index message_event_message_id on message_event (message_id);

create table message_event_default partition of message_event default;

-- Counts for statistics: how many messages went from one status to another, written by the statement that moved
-- them, so that no crash can make the two differ. Rows are only ever appended, because one row per status would
-- be a lock that every writer waits for; sms-api folds them into one per second, then per minute, then per ever
-- (-infinity), so that the table stays small. Without index: every reader wants all of it.
create table status_change (
    at timestamptz not null default now(),
    from_status text,                 -- null where the messages are new
    to_status text not null,
    messages bigint not null
) with (
    -- Rows live for seconds: a vacuum that waits for a share of the table would never keep up.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000
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
    -- As above; these live for milliseconds.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000
);

create index outbox_leased_until on outbox (leased_until);
