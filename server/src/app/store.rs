//! What the server wants of its database before it serves.

use sqlx::{
    Connection as _,
    migrate::{Migrate as _, Migrator},
    postgres::{PgConnection, PgPoolOptions},
};

use crate::error::{Error, Result};

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// Oldest PostgreSQL that is supported: `nulls not distinct` and what else 15 brought.
const LEAST_VERSION: i32 = 150_000;

/// Applies the migrations that are missing.
pub async fn migrate(database_url: &str) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(database_url).await?;
    check_cluster(&mut connection).await?;
    connection.close().await?;
    // By a pool: the future of a migration on a connection of one's own cannot move between threads (sqlx 0.9).
    let pool = PgPoolOptions::new().max_connections(1).connect(database_url).await?;
    MIGRATIONS.run(&pool).await?;
    pool.close().await;
    Ok(())
}

/// Checksums of all migrations, in their order.
pub fn migrations() -> impl Iterator<Item = &'static [u8]> {
    MIGRATIONS.iter().map(|migration| &*migration.checksum)
}

/// Says that the database was restored: its history is another from now on, and clients take a new snapshot.
pub async fn restore_done(database_url: &str) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(database_url).await?;
    let mut tx = connection.begin().await?;
    sqlx::query!("insert into history (id) values (gen_random_uuid())").execute(&mut *tx).await?;
    // Transaction ids of another cluster say nothing here.
    sqlx::query!("update rooms set changed_xid = 0").execute(&mut *tx).await?;
    sqlx::query!("update users set profile_xid = 0").execute(&mut *tx).await?;
    sqlx::query!("delete from room_changes").execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(connection.close().await?)
}

/// Refuses a database that is too old, cannot hold every text, or is not migrated.
pub(super) async fn check(database_url: &str) -> Result<()> {
    let mut connection = PgConnection::connect(database_url).await?;
    check_cluster(&mut connection).await?;
    let applied = applied(&mut connection).await?;
    connection.close().await?;
    let missing: Vec<String> = MIGRATIONS
        .iter()
        .filter(|wanted| !applied.contains(&wanted.version))
        .map(|missing| format!("{:04} {}", missing.version, missing.description))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::Internal(format!("the database lacks migrations, run `madang migrate`: {}", missing.join(", "))))
}

/// Versions of the migrations that were applied; none in an empty database.
async fn applied(connection: &mut PgConnection) -> Result<Vec<i64>> {
    let table = &MIGRATIONS.table_name;
    let there = sqlx::query_scalar!(r#"select to_regclass($1) is not null as "there!""#, &**table as &str);
    if !there.fetch_one(&mut *connection).await? {
        return Ok(Vec::new());
    }
    let applied = connection.list_applied_migrations(table).await;
    let applied = applied.map_err(|error| Error::Internal(format!("the list of migrations: {error}")))?;
    Ok(applied.into_iter().map(|migration| migration.version).collect())
}

async fn check_cluster(connection: &mut PgConnection) -> Result<()> {
    let row = sqlx::query!(
        r#"select current_setting('server_version_num')::int as "version!", pg_encoding_to_char(encoding) as "encoding!",
               datctype::text as "ctype!"
           from pg_database where datname = current_database()"#
    )
    .fetch_one(connection)
    .await?;
    if row.version < LEAST_VERSION {
        return Err(Error::Internal(format!("PostgreSQL 15 or newer is needed, this is {}", row.version / 10_000)));
    }
    // With the character type C, lower case and trigrams see nothing but ASCII.
    let ctype = row.ctype.to_uppercase().replace('-', "");
    if row.encoding != "UTF8" || !ctype.contains("UTF8") {
        return Err(Error::Internal(format!(
            "the database needs encoding UTF8 and an lc_ctype of UTF-8 (C.UTF-8), these are {} and {}",
            row.encoding, row.ctype
        )));
    }
    Ok(())
}
