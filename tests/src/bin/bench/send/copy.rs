//! The ceiling: binary COPY into a copy of the table of messages, with its indexes and without its foreign key, by one
//! connection in one transaction. The rows are encoded before the clock runs.

use std::time::Instant;

use anyhow::Result;
use bytes::{BufMut, BytesMut};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};
use uuid::Uuid;

use super::{MEMBERS, ROOMS, member};
use crate::crowd::{self, room_id, user_id};
use crate::figure::float;

/// Rows of one COPY: some half a second.
const ROWS: usize = 100_000;

/// The columns that a send fills.
const STATEMENT: &str = "copy messages_copied (room_id, seq, rev, count, sender_id, client_message_id, payload_hash,
    mark_generation, created_at, kind, text, format, extra, mentioned, mentions_all, reply_to_seq) from stdin (format binary)";

/// Fields of one row.
const FIELDS: i16 = 16;

/// A time of creation, in microseconds since 2000, which is where PostgreSQL counts from.
const CREATED_AT: i64 = 848_000_000_000_000;

/// Copies rows, each time the next ones of their rooms.
pub struct Copy {
    connection: PgConnection,
    next: Vec<i64>,
}

impl Copy {
    /// Makes the table.
    pub async fn prepare(database_url: &str) -> Result<Self> {
        let mut connection = PgConnection::connect(database_url).await?;
        connection.execute("create table messages_copied (like messages including all)").await?;
        let mut copy = Self { connection, next: vec![1; ROOMS] };
        copy.run().await?;
        Ok(copy)
    }

    /// Rows a second, the commit included.
    pub async fn run(&mut self) -> Result<f64> {
        let rows = self.rows();
        let began = Instant::now();
        let mut copy = self.connection.copy_in_raw(STATEMENT).await?;
        copy.send(&rows[..]).await?;
        let copied = copy.finish().await?;
        Ok(float(copied) / began.elapsed().as_secs_f64())
    }

    fn rows(&mut self) -> BytesMut {
        let mut out = BytesMut::with_capacity(ROWS * 450);
        // Signature, flags, no extension.
        out.put_slice(b"PGCOPY\n\xff\r\n\0");
        out.put_i64(0);
        let text = crowd::text();
        for _ in 0..ROWS {
            let room = rand::random_range(0..ROOMS);
            put_row(&mut out, room, self.next[room], &text);
            self.next[room] += 1;
        }
        out.put_i16(-1);
        out
    }
}

fn put_row(out: &mut BytesMut, room: usize, seq: i64, text: &str) {
    let id = Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, 1_790_000_000, 0));
    out.put_i16(FIELDS);
    put(out, room_id(room).as_bytes());
    for _ in 0..3 {
        put(out, &seq.to_be_bytes());
    }
    put(out, user_id(member(room, rand::random_range(0..MEMBERS))).as_bytes());
    put(out, id.as_bytes());
    put(out, &[id.into_bytes(), id.into_bytes()].concat());
    put_null(out);
    put(out, &CREATED_AT.to_be_bytes());
    put(out, &1_i16.to_be_bytes());
    put(out, text.as_bytes());
    put(out, &1_i16.to_be_bytes());
    put_null(out);
    put_null(out);
    put(out, &[0]);
    put(out, &0_i64.to_be_bytes());
}

fn put(out: &mut BytesMut, field: &[u8]) {
    out.put_i32(i32::try_from(field.len()).expect("a field of a few hundred bytes"));
    out.put_slice(field);
}

fn put_null(out: &mut BytesMut) {
    out.put_i32(-1);
}
