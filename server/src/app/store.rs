//! What the server wants of its database before it serves.

use sqlx::{
    PgPool,
    migrate::{Migrate as _, Migrator},
};

use crate::error::{Error, Result};

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// Oldest PostgreSQL that is supported: `nulls not distinct` and what else 15 brought.
const LEAST_VERSION: i32 = 150_000;

/// Applies the migrations that are missing.
pub async fn migrate(database_url: &str) -> anyhow::Result<()> {
    let pool = PgPool::connect(database_url).await?;
    check_cluster(&pool).await?;
    MIGRATIONS.run(&pool).await?;
    pool.close().await;
    Ok(())
}

/// Says that the database was restored: its history is another from now on, and clients take a new snapshot.
pub async fn restore_done(database_url: &str) -> anyhow::Result<()> {
    let pool = PgPool::connect(database_url).await?;
    sqlx::query!("insert into history (id) values (gen_random_uuid())").execute(&pool).await?;
    pool.close().await;
    Ok(())
}

/// Refuses a database that is too old, cannot hold every text, or is not migrated.
pub(super) async fn check(pool: &PgPool) -> Result<()> {
    check_cluster(pool).await?;
    let mut connection = pool.acquire().await?;
    let failed = |error: sqlx::migrate::MigrateError| Error::Internal(format!("the list of migrations: {error}"));
    let table = &MIGRATIONS.table_name;
    connection.ensure_migrations_table(table).await.map_err(failed)?;
    let applied = connection.list_applied_migrations(table).await.map_err(failed)?;
    let missing: Vec<String> = MIGRATIONS
        .iter()
        .filter(|wanted| !applied.iter().any(|done| done.version == wanted.version))
        .map(|missing| format!("{:04} {}", missing.version, missing.description))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::Internal(format!("the database lacks migrations, run `madang migrate`: {}", missing.join(", "))))
}

async fn check_cluster(pool: &PgPool) -> Result<()> {
    let row = sqlx::query!(
        r#"select current_setting('server_version_num')::int as "version!", pg_encoding_to_char(encoding) as "encoding!",
               datctype::text as "ctype!"
           from pg_database where datname = current_database()"#
    )
    .fetch_one(pool)
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
