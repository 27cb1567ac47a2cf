//! Where the database's time goes: what it says of its statements, while they are noted.

use anyhow::Result;
use sqlx::Connection;
use sqlx::postgres::PgConnection;

use crate::ground::Ground;

/// The statements of one database since a moment.
pub struct Statements {
    watch: PgConnection,
}

/// What those of one kind took.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub struct Cost {
    pub calls: i64,
    pub rows: i64,
    pub us: f64,
}

impl Statements {
    /// From here on they are noted, of all connections.
    pub async fn note(ground: &Ground, database_url: &str) -> Result<Self> {
        let mut watch = PgConnection::connect(database_url).await?;
        sqlx::query("create extension if not exists pg_stat_statements").execute(&mut watch).await?;
        ground.note_statements(true).await?;
        sqlx::query("select pg_stat_statements_reset()").execute(&mut watch).await?;
        Ok(Self { watch })
    }

    /// No more of them are noted.
    pub async fn end(&self, ground: &Ground) -> Result<()> {
        ground.note_statements(false).await
    }

    /// What those took whose text is like this.
    pub async fn like(&mut self, text: &str) -> Result<Cost> {
        let query = "select coalesce(sum(calls), 0)::bigint as calls, coalesce(sum(rows), 0)::bigint as rows,
                coalesce(sum(total_exec_time), 0) * 1000 as us
            from pg_stat_statements(true) s join pg_database d on d.oid = s.dbid and d.datname = current_database()
            where query ilike $1 and query not ilike '%pg_stat_statements%'";
        Ok(sqlx::query_as(query).bind(text).fetch_one(&mut self.watch).await?)
    }
}
