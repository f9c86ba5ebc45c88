-- The limit keeps PostgreSQL from looking for the messages in any other way than one by one: it might read all that lie
-- between them.
with given as materialized (
    select * from unnest(
        $1::uuid[], $2::integer[], $3::bigint[], $4::bigint[], $5::uuid[], $6::integer[],
        $7::text[], $8::integer[], $9::bigint[], $10::text[], $11::text[], $12::text[]
    ) as given (
        id, topic_partition, topic_offset, topic_timestamp, message_id, attempt,
        origin_topic, origin_partition, origin_offset, record, error, reason
    )
),
known as materialized (
    select message.* from (select distinct message_id from given) as wanted cross join lateral (
        select id, tenant from message where message.id = wanted.message_id limit 1
    ) as message
),
stored as (
    insert into dead_letter (
        id, topic_partition, topic_offset, topic_timestamp, tenant, message_id, attempt,
        origin_topic, origin_partition, origin_offset, record, error
    )
    select given.id, topic_partition, topic_offset, topic_timestamp,
        coalesce(known.tenant, $13), message_id, attempt,
        origin_topic, origin_partition, origin_offset, record, error
    from given left join known on known.id = message_id
    order by topic_partition, topic_offset
    on conflict (topic_partition, topic_offset, topic_timestamp) do nothing
    returning id
),
latest as materialized (
    select distinct on (message_id) message_id, attempt, reason
    from given join stored using (id)
    where message_id is not null
    order by message_id, attempt desc
),
failed as (
    update message
    set status = 'FAILED', updated_at = now(), retry_at = null, failure_reason = reason
    from latest
    where message.id = message_id
        and message.status in ('PENDING', 'UNKNOWN') and message.attempt <= latest.attempt
    returning message.id
)
select (select count(*) from stored) as "stored!", (select count(*) from failed) as "failed!"
