//! Older pieces of rooms that are held: `sync/islands.rs` has the rules.

use rusqlite::Connection;

use crate::sync::Island;

/// Islands of a room, the lowest first.
pub(crate) fn of_room(conn: &Connection, room_id: &str) -> rusqlite::Result<Vec<Island>> {
    conn.prepare_cached("select low, high from islands where room_id = ?1 order by low")?
        .query_map([room_id], |row| Ok(Island { low: row.get(0)?, high: row.get(1)? }))?
        .collect()
}

/// Keeps these islands of a room, and no other.
pub(crate) fn save(conn: &Connection, room_id: &str, islands: &[Island]) -> rusqlite::Result<()> {
    forget(conn, room_id)?;
    let mut insert = conn.prepare_cached("insert into islands (room_id, low, high) values (?1, ?2, ?3)")?;
    islands.iter().try_for_each(|island| insert.execute((room_id, island.low, island.high)).map(drop))
}

/// Keeps no island of a room. Their rows stay, and say nothing.
pub(crate) fn forget(conn: &Connection, room_id: &str) -> rusqlite::Result<()> {
    conn.prepare_cached("delete from islands where room_id = ?1")?.execute([room_id]).map(drop)
}

/// Nothing below a position is there for the person.
pub(crate) fn cut_below(conn: &Connection, room_id: &str, seq: i64) -> rusqlite::Result<()> {
    let mut islands = of_room(conn, room_id)?;
    islands.retain(|island| island.high >= seq);
    for island in &mut islands {
        island.low = island.low.max(seq);
    }
    save(conn, room_id, &islands)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        store::{Durability, Write, rooms, tests::memory},
        sync::{Drop, Effects},
    };

    #[tokio::test]
    async fn an_island_ends_where_the_person_may_not_see_on_and_with_a_room_that_begins_anew() {
        let islands = [(1, 4), (10, 20), (30, 40)].map(|(low, high)| Island { low, high });
        let cut = move |w: &mut Write<'_>| {
            save(&w.tx, "r", &islands)?;
            let drop = |drop| rooms::drop_rows(&w.tx, "r", &Effects { drop: vec![drop], ..Effects::default() });
            drop(Drop::BelowSeq(15))?;
            let cut = of_room(&w.tx, "r")?;
            drop(Drop::UpToRev(1))?;
            Ok((cut, of_room(&w.tx, "r")?))
        };
        let left = [(15, 20), (30, 40)].map(|(low, high)| Island { low, high }).to_vec();
        assert_eq!(memory().await.write(Durability::Frames, cut).await.unwrap(), (left, Vec::new()));
    }
}
