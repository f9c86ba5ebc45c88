//! How the messages of a list come in their order from one index.
//!
//! That must not hang on what PostgreSQL thinks of its statistics: where it takes the primary key for an index in the
//! right order, and filters, the first page of a tenant without messages reads everybody's: seven seconds among three
//! million messages, where it should take milliseconds. Therefore an index is asked
//! for a range of whole keys and for the order of whole keys (`(tenant, id) < …` and `order by tenant, id`, where
//! `tenant = …` and `order by id` would say the same), which only that index has; and the connections for lists have
//! sorting switched off.

/// The statements over one index. In all of them `$1` is the tenant, `$2` and `$3` bound the ids, and `$4` to `$7` are
/// status, number, reference and batch. Their 10000 is [`DEEPEST`](super::DEEPEST).
pub(super) struct Statements {
    /// The messages of a page.
    pub page: &'static str,
    /// How many messages are as wanted, of how many that were looked at.
    pub count: &'static str,
    /// The same, where everything that the index gives is wanted: it does without the messages themselves.
    pub count_all: &'static str,
}

macro_rules! judgement {
    () => {
        "coalesce(status = $4, $4 is null) and coalesce($5 in (sender, recipient), $5 is null)
             and coalesce(client_reference = $6, $6 is null) and coalesce(batch_id = $7, $7 is null) as wanted"
    };
}

/// `$scan` is a macro that makes a query in the order of its index, for the columns that it is given.
macro_rules! statements {
    ($scan:ident, $order:literal) => {
        Statements {
            // The last message looked at comes along, wanted or not, to tell where to go on.
            page: concat!(
                "select id, sender, recipient, text, status, failure_reason, provider_message_id, attempt, priority,
                     updated_at, retry_at, send_at, expires_at, batch_id, client_reference, metadata, number, wanted
                 from (
                     select scanned.*, row_number() over (order by ",
                $order,
                ") as number, ",
                judgement!(),
                "
                     from (",
                $scan!("message.*"),
                ") as scanned
                 ) as judged
                 where wanted or number = 10000 order by ",
                $order,
                " offset $8 limit $9"
            ),
            count: concat!(
                "select count(*) filter (where wanted), count(*)
                 from (select ",
                judgement!(),
                " from (",
                $scan!("message.*"),
                ") as scanned) as judged"
            ),
            count_all: concat!("select count(*), count(*) from (", $scan!("message.id"), ") as scanned"),
        }
    };
}

// The bounds of the id alone say which partitions need not be looked at.

macro_rules! of_tenant {
    ($columns:literal) => {
        concat!(
            "select ",
            $columns,
            " from message
             where (tenant, id) >= ($1, $2) and (tenant, id) < ($1, $3) and id >= $2 and id < $3
             order by tenant desc, id desc limit 10000"
        )
    };
}

macro_rules! of_reference {
    ($columns:literal) => {
        concat!(
            "select ",
            $columns,
            " from message
             where (tenant, client_reference, id) >= ($1, $6, $2) and (tenant, client_reference, id) < ($1, $6, $3)
                 and client_reference is not null and id >= $2 and id < $3
             order by tenant desc, client_reference desc, id desc limit 10000"
        )
    };
}

macro_rules! of_party {
    ($party:literal, $columns:literal) => {
        concat!(
            "(select tenant as of_tenant, ",
            $party,
            " as party, ",
            $columns,
            " from message
                  where (tenant, ",
            $party,
            ", id) >= ($1, $5, $2) and (tenant, ",
            $party,
            ", id) < ($1, $5, $3)
                      and id >= $2 and id < $3
                  order by tenant desc, ",
            $party,
            " desc, id desc limit 10000)"
        )
    };
}

// A message to oneself comes from both indexes.
macro_rules! of_user {
    ($columns:literal) => {
        concat!(
            "select distinct on (of_tenant, party, id) * from (
                 ",
            of_party!("sender", $columns),
            "
                 union all
                 ",
            of_party!("recipient", $columns),
            "
             ) as either
             order by of_tenant desc, party desc, id desc limit 10000"
        )
    };
}

// The limit keeps PostgreSQL from joining in any other way than message by message; the order, from looking for an id
// in some other index, which all cost the same in a partition that is empty when the plan is made.
macro_rules! of_rare_status {
    ("message.id") => {
        "select message_id from rare_status
         where (tenant, status, message_id) >= ($1, $4, $2) and (tenant, status, message_id) < ($1, $4, $3)
             and message_id >= $2 and message_id < $3
         order by tenant desc, status desc, message_id desc limit 10000"
    };
    ($columns:literal) => {
        concat!(
            "select rare.tenant as of_tenant, rare.status as of_status, message_id, ",
            $columns,
            "
             from (
                 select * from rare_status
                 where (tenant, status, message_id) >= ($1, $4, $2) and (tenant, status, message_id) < ($1, $4, $3)
                     and message_id >= $2 and message_id < $3
                 order by tenant desc, status desc, message_id desc limit 10000
             ) as rare cross join lateral (
                 select * from message
                 where (tenant, id) >= (rare.tenant, message_id) and (tenant, id) <= (rare.tenant, message_id)
                     and id >= message_id and id <= message_id
                 order by tenant, id limit 1
             ) as message"
        )
    };
}

pub(super) const OF_TENANT: Statements = statements!(of_tenant, "tenant desc, id desc");
pub(super) const OF_REFERENCE: Statements = statements!(of_reference, "tenant desc, client_reference desc, id desc");
pub(super) const OF_USER: Statements = statements!(of_user, "of_tenant desc, party desc, id desc");
pub(super) const OF_RARE_STATUS: Statements =
    statements!(of_rare_status, "of_tenant desc, of_status desc, message_id desc");

#[cfg(test)]
mod tests {
    use jiff::{Span, Timestamp};
    use sqlx::{AssertSqlSafe, PgPool, Row};

    use uuid::Uuid;

    use super::*;
    use crate::{
        message::first_id_at,
        store::{
            self, DEEPEST, Store,
            partitions::{Partition, Table, day_of, first_id},
        },
    };

    /// Thirty days of partitions, with so few messages in them that every way to read them seems cheap, and looking
    /// through all of them seems to find some of every tenant soon.
    async fn a_month(store: &Store) {
        let today = day_of(Timestamp::now());
        for day in (-26..=3).map(|days| today.saturating_add(Span::new().days(days))) {
            for table in [Table::Message, Table::RareStatus] {
                store.make_partition(Partition { day, table }).await.expect("a partition");
            }
        }
        for days in -26..=0 {
            let first = first_id(today.saturating_add(Span::new().days(days))).as_u128();
            let ids: Vec<Uuid> = (0..200).map(|n| Uuid::from_u128(first + n)).collect();
            sqlx::query(
                "with stored as (
                     insert into message (id, tenant, sender, recipient, text, status, client_reference)
                     select id, 'default', '+12', '+13', 'x', 'FAILED', 'reference' from unnest($1::uuid[]) as id
                     returning id, tenant, status
                 )
                 insert into rare_status select id, tenant, status from stored",
            )
            .bind(&ids)
            .execute(&store.pool)
            .await
            .expect("rows");
        }
        sqlx::query("analyze message, rare_status").execute(&store.pool).await.expect("statistics");
    }

    async fn plan(store: &Store, statement: &str, id: Uuid) -> Vec<String> {
        let mut connection = store.lists.acquire().await.expect("a connection");
        let prepare = format!("prepare list (text, uuid, uuid, text, text, text, uuid, bigint, bigint) as {statement}");
        sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.expect("a statement");
        let explain = format!(
            "explain (costs off) execute list
             ('default', '{id}', '{}', 'FAILED', '+12', 'reference', null, 0, 21)",
            Uuid::max()
        );
        let rows = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(&mut *connection).await.expect("a plan");
        sqlx::raw_sql("deallocate all").execute(&mut *connection).await.expect("nothing prepared");
        rows.iter().map(|row| row.get(0)).collect()
    }

    #[sqlx::test(migrations = "./migrations")]
    async fn every_list_is_read_in_the_order_of_its_index_from_the_partitions_that_can_have_some(pool: PgPool) {
        let store = Store::new(store::connect_lazily((*pool.connect_options()).clone()));
        a_month(&store).await;
        let yesterday = first_id_at(Timestamp::now() - Span::new().hours(24));
        for (statements, indexes) in [
            (OF_TENANT, &["tenant_id_idx"][..]),
            (OF_REFERENCE, &["tenant_client_reference_id_idx"]),
            (OF_USER, &["tenant_sender_id_idx", "tenant_recipient_id_idx"]),
            (OF_RARE_STATUS, &["tenant_status_message_id_idx", "tenant_id_idx"]),
        ] {
            for statement in [statements.page, statements.count, statements.count_all] {
                assert!(statement.contains(&format!("limit {DEEPEST}")), "{statement}");
                let plan = plan(&store, statement, yesterday).await;
                let shown = plan.join("\n");
                let nodes = || plan.iter().map(|line| line.trim_start().trim_start_matches("->  "));
                let is_scan = |node: &&str| node.contains(" on message_") || node.contains(" on rare_status_");
                assert!(nodes().any(|node| is_scan(&node)), "{shown}");
                for scan in nodes().filter(is_scan) {
                    let index = scan.split(" using ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or(scan);
                    assert!(indexes.iter().any(|known| index.ends_with(known)), "{scan} in\n{shown}");
                }
                let sorts = nodes().filter(|node| node.ends_with("Sort") || node.contains("Hash"));
                assert_eq!(sorts.count(), 0, "{shown}");
                assert!(nodes().any(|node| node.starts_with("Subplans Removed: ")), "{shown}");
            }
        }
        store.close().await;
    }
}
