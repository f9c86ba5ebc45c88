-- Messages, what became of them, how many there are, what is to happen to them later, and the outbox through which
-- they reach Kafka.

-- One partition a day (UTC) by the time inside the id, so that retention is DROP TABLE and what is recent lies
-- together. Partitions are made ahead and dropped by sms-api itself (src/maintenance.rs): no migration makes one.
create table message (
    -- Version 7: its first 48 bits are the milliseconds since 1970 at which the message was accepted. That is its
    -- only time of acceptance, so a list by time is a list by id.
    id uuid primary key,
    tenant text not null,             -- whose API key brought it; nobody else sees it
    sender text not null,
    recipient text not null,
    text text not null,
    status text not null default 'PENDING' check (
        status in ('PENDING', 'SENT', 'FAILED', 'SCHEDULED', 'CANCELED', 'EXPIRED', 'UNKNOWN')
    ),
    failure_reason text,
    provider_message_id text,         -- what the provider calls it
    attempt integer not null default 1 check (attempt >= 1),
    priority text not null default 'normal' check (priority in ('high', 'normal', 'low')),
    updated_at timestamptz,           -- when the status last changed; null while it is the first one
    retry_at timestamptz,             -- FAILED, but to be tried again at this time
    send_at timestamptz,
    expires_at timestamptz,
    batch_id uuid,                    -- has the same time as the ids of its messages
    client_reference text,
    metadata json
    -- No index mentions a column that changes with the status, not even in a predicate: a status change would
    -- cease to be a HOT update. Rare statuses are found through the table rare_status.
) partition by range (id);

-- With the tenant before the number, so that a list never reads, and its cursor never names, what is somebody else's.
create index message_sender on message (tenant, sender, id);
create index message_recipient on message (tenant, recipient, id);
create index message_client_reference on message (tenant, client_reference, id) where client_reference is not null;
-- The last one: of indexes that seem to cost the same, as all do while a partition is empty, PostgreSQL takes the one that
-- was made last, and a message is asked for by tenant and id.
create index message_tenant on message (tenant, id);

-- Takes what has no partition: ids of a clock that is days wrong, or of a time in which nobody made partitions.
-- Such a message is accepted, found and kept like every other one, and moves when its partition is made. The
-- price: DETACH CONCURRENTLY is not possible, and making a partition looks through this table, normally empty.
create table message_default partition of message default;

-- The states that a message went through, as far as its own row does not tell them. The row tells the first one,
-- when it was PENDING, by its id, and the present one by updated_at, attempt and failure_reason. Whatever overwrites
-- any other state leaves that state here. So the usual way, PENDING to SENT, writes nothing.
--
-- Why not a row for every state: measured (PostgreSQL 18, batches of 200, one row per state) it costs 45 % more CPU
-- and 58 % more WAL per message accepted, 25 % more CPU per report, and 99 bytes twice beside a row of 236.
create table message_event (
    message_id uuid not null,
    at timestamptz,                   -- when the message came into this state; null where it was its first one
    status text not null,
    attempt integer not null,
    reason text
) partition by range (message_id);

create index message_event_message_id on message_event (message_id);

create table message_event_default partition of message_event default;

-- The messages that are neither on their way nor sent, by their status: the index that message itself must not have.
create table rare_status (
    message_id uuid not null,
    tenant text not null,
    status text not null
) partition by range (message_id);

create unique index rare_status_key on rare_status (tenant, status, message_id);

create table rare_status_default partition of rare_status default;

-- The day (UTC) of a message, by its id: that of its partition.
create function message_day(id uuid) returns date language sql immutable parallel safe as $$
    select date '1970-01-01'
        + (('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint / 86400000)::integer
$$;

-- Counts for statistics: how many messages went from one status to another, written by the statement that moved
-- them, so that no crash can make the two differ. Rows are only ever appended, because one row per status would
-- be a lock that every writer waits for; sms-api folds them into one per second, then per minute, then per ever
-- (-infinity), so that the table stays small. Without index: every reader wants all of it. They are kept apart by the
-- day of the messages, so that the counts of messages that retention removes are known, too.
create table status_change (
    at timestamptz not null default now(),
    day date not null,                -- of the messages; -infinity for all days that retention has removed
    tenant text not null,
    from_status text,                 -- null where the messages are new
    to_status text not null,
    messages bigint not null
) with (
    -- Rows live for seconds: a vacuum that waits for a share of the table would never keep up.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000
);

-- What follows from every change of a status, whichever statement makes it.
create function message_status_changed() returns trigger language plpgsql as $$
begin
    insert into status_change (day, tenant, from_status, to_status, messages)
    select message_day(id), former.tenant, former.status, present.status, count(*)
    from former join present using (id)
    where former.status <> present.status
    group by message_day(id), former.tenant, former.status, present.status;

    insert into message_event (message_id, at, status, attempt, reason)
    select id, former.updated_at, former.status, former.attempt, former.failure_reason
    from former join present using (id)
    where former.status <> present.status and (former.status <> 'PENDING' or former.updated_at is not null);

    delete from rare_status using former
    where former.status not in ('PENDING', 'SENT') and rare_status.tenant = former.tenant
        and rare_status.status = former.status and rare_status.message_id = former.id;

    insert into rare_status (message_id, tenant, status)
    select id, tenant, status from present where status not in ('PENDING', 'SENT');
    return null;
end
$$;

create trigger message_status_changed after update on message
    referencing old table as former new table as present
    for each statement execute function message_status_changed();

-- One row per committed batch; it lives until Kafka has acknowledged every record of the batch.
create table outbox (
    id bigint generated always as identity primary key,
    message_ids uuid[] not null,
    traceparents text[] not null,     -- parallel to message_ids; null where a request was not traced
    messages integer not null generated always as (cardinality(message_ids)) stored,
    leased_until timestamptz not null, -- by the clock of this database; whoever finds it past may take the row
    created_at timestamptz not null default now(),
    check (cardinality(message_ids) = cardinality(traceparents))
) with (
    -- As above; these live for milliseconds.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000
);

create index outbox_leased_until on outbox (leased_until);

-- When to look at a message again: to send a SCHEDULED one, to retry a FAILED one, or to see that one that was
-- published late is not forgotten. What is to be done then follows from the message itself.
create table message_due (
    message_id uuid primary key,
    due_at timestamptz not null,
    traceparent text                  -- of the request that brought the message, or asked for the retry
) with (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000
);

create index message_due_due_at on message_due (due_at);

-- How far the sweep has come: every message up to this id was looked at when it was old enough to be forgotten.
create table sweep (
    only_row boolean primary key default true check (only_row),
    swept_to uuid not null
);

insert into sweep (swept_to) values ('00000000-0000-0000-0000-000000000000');

-- The answers of requests that carried an Idempotency-Key. A table of its own, because a unique key cannot span the
-- day partitions of message.
create table idempotency_key (
    client text not null,             -- name of the API key that the request came with
    key text not null,
    fingerprint bytea not null,       -- SHA-256 of what was asked for
    submission uuid not null,         -- id of the first message that the request brought
    location text not null,
    answer bytea not null,
    expires_at timestamptz not null,
    primary key (client, key)
);

create index idempotency_key_expires_at on idempotency_key (expires_at);

-- Attempts that a processor announced before it called the provider.
create table claim (
    message_id uuid not null,
    attempt integer not null,
    claimant uuid not null,           -- who announced it, and may announce it again or take that back
    claimed_at timestamptz not null default now(),
    primary key (message_id, attempt)
) partition by range (message_id);

create table claim_default partition of claim default;

-- What the processors gave up, as read from the dead letter topic.
create table dead_letter (
    id uuid primary key,              -- version 7, of the time at which it was given up: a list by time is one by id
    topic_partition integer not null, -- where it lies in the dead letter topic: it is read once
    topic_offset bigint not null,
    topic_timestamp bigint not null,  -- as Kafka tells it, because a topic that was made anew counts from 0 again
    tenant text not null,             -- the message's; 'default' where there is no such message
    message_id uuid,                  -- null where the record was not decodable
    attempt integer,
    origin_topic text,
    origin_partition integer,
    origin_offset bigint,
    record text not null,             -- the record's value as the processor kept it
    error text not null,
    redriven_at timestamptz,
    unique (topic_partition, topic_offset, topic_timestamp),
    check ((message_id is null) = (attempt is null))
);

create index dead_letter_tenant on dead_letter (tenant, id);
create index dead_letter_waiting on dead_letter (tenant, id) where redriven_at is null;
create index dead_letter_redriven on dead_letter (tenant, id) where redriven_at is not null;
create index dead_letter_message_id on dead_letter (message_id) where message_id is not null;
