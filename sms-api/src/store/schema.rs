//! The schema: which version this binary needs, and how it gets there.

use sqlx::{
    PgConnection,
    migrate::{MigrateError, Migrator},
};

/// How the database's schema stands to this binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// At least as new as this binary needs.
    Fits,
    /// No migration was ever applied.
    Missing,
    /// Older than this binary needs.
    TooOld {
        /// The newest applied version.
        found: i64,
        /// The version that this binary needs.
        needed: i64,
    },
}

/// The migrations of this binary. Versions that it does not know are fine: migrations only expand while an
/// older binary may still run, so an older one may be started again after a newer one.
fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!("./migrations");
    migrator.set_ignore_missing(true);
    migrator
}

/// Applies what is missing, under an advisory lock: several at once wait for each other.
pub async fn bring_up_to_date(db: &mut PgConnection) -> Result<(), MigrateError> {
    migrator().run(db).await
}

/// How the schema stands.
pub async fn state(db: &mut PgConnection) -> sqlx::Result<Schema> {
    let known = sqlx::query_scalar!(r#"select to_regclass('_sqlx_migrations') is not null as "known!""#)
        .fetch_one(&mut *db)
        .await?;
    if !known {
        return Ok(Schema::Missing);
    }
    let newest = sqlx::query_scalar!("select max(version) from _sqlx_migrations where success").fetch_one(db).await?;
    Ok(compare(newest, migrator().iter().map(|migration| migration.version).max().unwrap_or_default()))
}

fn compare(newest: Option<i64>, needed: i64) -> Schema {
    match newest {
        None => Schema::Missing,
        Some(found) if found < needed => Schema::TooOld { found, needed },
        Some(_) => Schema::Fits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_schema_fits_and_an_older_one_does_not() {
        assert_eq!(compare(None, 2), Schema::Missing);
        assert_eq!(compare(Some(1), 2), Schema::TooOld { found: 1, needed: 2 });
        assert_eq!(compare(Some(2), 2), Schema::Fits);
        assert_eq!(compare(Some(3), 2), Schema::Fits);
    }
}
