-- The limit keeps PostgreSQL from looking for the messages in any other way than one by one: it might read all that lie
-- between them.
with given as materialized (
    select * from unnest($1::uuid[], $2::integer[])
        with ordinality as given (id, attempt, place)
),
known as materialized (
    select message.* from (select distinct id from given) as wanted cross join lateral (
        select id, status, attempt from message where message.id = wanted.id limit 1
    ) as message
),
granted as (
    insert into claim (message_id, attempt)
    select distinct id, given.attempt from given join known using (id)
    where known.status in ('PENDING', 'UNKNOWN') and given.attempt >= known.attempt
    order by id, given.attempt
    on conflict (message_id, attempt) do nothing
    returning message_id, attempt
)
select granted.message_id is not null
        and row_number() over (partition by id, given.attempt order by place) = 1 as "is_granted!",
    known.status as "status?", known.attempt as "current?", given.attempt as "claimed!"
from given left join known using (id)
    left join granted on granted.message_id = id and granted.attempt = given.attempt
order by place
