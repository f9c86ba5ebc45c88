-- The limit keeps PostgreSQL from looking for the messages in any other way than one by one: it might read all that lie
-- between them.
with given as materialized (
    select * from unnest($1::uuid[], $2::integer[], $3::uuid[])
        with ordinality as given (id, attempt, claimant, place)
),
known as materialized (
    select message.* from (select distinct id from given) as wanted cross join lateral (
        select id, status, attempt from message where message.id = wanted.id limit 1
    ) as message
),
granted as (
    insert into claim (message_id, attempt, claimant)
    select distinct on (id, given.attempt) id, given.attempt, claimant from given join known using (id)
    where known.status in ('PENDING', 'UNKNOWN') and given.attempt >= known.attempt
    order by id, given.attempt, place
    -- Whoever asks again because no answer came is granted what it was granted before.
    on conflict (message_id, attempt) do update set claimed_at = now() where claim.claimant = excluded.claimant
    returning message_id, attempt, claimant
)
select granted.claimant is not distinct from given.claimant as "is_granted!",
    known.status as "status?", known.attempt as "current?", given.attempt as "claimed!"
from given left join known using (id)
    left join granted on granted.message_id = id and granted.attempt = given.attempt
order by place
