-- The limit keeps PostgreSQL from looking for the messages in any other way than one by one: it might read all that lie
-- between them.
with given as materialized (
    select * from unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::boolean[], $6::text[])
        with ordinality as given (id, status, reason, attempt, transient, provider_message_id, place)
),
known as materialized (
    select message.* from (select distinct id from given) as wanted cross join lateral (
        select id, status, attempt from message where message.id = wanted.id limit 1
    ) as message
),
counting as materialized (
    select distinct on (id) given.*
    from given join known using (id)
    where known.status in ('PENDING', 'UNKNOWN') and known.status <> given.status
        and coalesce(given.attempt >= known.attempt, true)
    order by id, place
),
changed as (
    update message set status = counting.status, updated_at = now(),
        failure_reason = case when counting.status in ('FAILED', 'UNKNOWN') then reason end,
        provider_message_id = coalesce(counting.provider_message_id, message.provider_message_id),
        retry_at = case
            when counting.status = 'FAILED' and transient and message.attempt < $7 then now() + $8
        end
    from counting
    where message.id = counting.id
        and message.status in ('PENDING', 'UNKNOWN')
        and message.status <> counting.status
        and coalesce(counting.attempt >= message.attempt, true)
    returning message.id, message.retry_at, place
),
due as (
    insert into message_due (message_id, due_at)
    select id, retry_at from changed where retry_at is not null
    on conflict (message_id) do update set due_at = excluded.due_at
)
select place in (select place from changed) as "is_changed!", id in (select id from known) as "is_known!"
from given order by place
