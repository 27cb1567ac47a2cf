//! What changed in a room after a cursor, and what changed for a person after a number.

use std::collections::{HashMap, hash_map::Entry};

use madang_proto::v1;
use sqlx::postgres::PgConnection;

use super::wire;
use crate::{
    access::{JOINED, RoomAccess, RoomRow},
    error::{Error, Result},
    ids::{RoomId, UserId},
    messages, reads,
    rooms::{self, Member, store::PlaceKey},
    sabotage::Guards,
    timeline::{self, Item},
};

/// A room that is further behind than this starts anew with its newest page (sync page).
const MOST_BEHIND: i64 = 500;
/// Items of the newest page.
const NEWEST: i64 = 50;
/// Rows of a page (sync page).
pub const PAGE: (i64, i64) = (200, 500);
/// A page ends here even below its rows (contract).
const PAGE_BYTES: usize = 512 * 1024;

/// Where a client stands in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The room.
    pub room_id: RoomId,
    /// What it holds is as of this revision.
    pub rev: i64,
    /// Every item up to here is known to it to exist.
    pub seq: i64,
}

impl Cursor {
    /// Reads a cursor of the contract.
    pub fn of(cursor: &v1::RoomCursor) -> Result<Self> {
        let room_id = RoomId::parse(&cursor.room_id).ok_or_else(Error::room_not_found)?;
        Ok(Self { room_id, rev: cursor.rev, seq: cursor.seq })
    }

    fn wire(self) -> v1::RoomCursor {
        v1::RoomCursor { room_id: self.room_id.to_string(), rev: self.rev, seq: self.seq }
    }

    /// Whether catching up from here costs more than starting anew, or the cursor is not of this room's history.
    fn is_useless(self, room: &RoomRow) -> bool {
        self.rev == 0 || self.rev > room.rev || self.seq > room.seq || room.rev - self.rev > MOST_BEHIND
    }
}

/// A row that changed.
enum Changed {
    Item(Box<Item>),
    Member(Box<Member>),
    Receipt(Box<Member>),
}

impl Changed {
    fn rev(&self) -> i64 {
        match self {
            Self::Item(item) => item.rev,
            Self::Member(member) => member.rev,
            Self::Receipt(member) => member.receipt_rev,
        }
    }
}

/// A page of what changed after a cursor, in the caller's snapshot: first new items by position (the cursor's `seq` moves,
/// `rev` stays), then changed rows by revision. Only the last page moves `rev` to the room's.
pub async fn room(
    tx: &mut PgConnection,
    access: RoomAccess,
    cursor: Cursor,
    limit: i64,
    guards: Guards,
) -> Result<v1::RoomDelta> {
    let delta = rooms(tx, &[(access, cursor)], limit, guards).await?.pop();
    delta.ok_or_else(Error::room_not_found)
}

/// The same for several callers; what those who stand at one place of a room have missed is read once.
pub async fn rooms(
    tx: &mut PgConnection,
    callers: &[(RoomAccess, Cursor)],
    limit: i64,
    guards: Guards,
) -> Result<Vec<v1::RoomDelta>> {
    let places: Vec<_> = callers.iter().map(|(access, _)| (access.room_id(), access.user_id())).collect();
    let summaries = rooms::store::summaries_unless(tx, &places, !guards.access_at_read()).await?;
    let summaries = summaries.iter().map(|found| ((found.room.id, found.member.user_id), rooms::wire::summary(found)));
    let summaries: HashMap<_, _> = summaries.collect();
    let mut missed: HashMap<(Cursor, i64), v1::RoomDelta> = HashMap::new();
    let mut deltas = Vec::with_capacity(callers.len());
    for ((access, cursor), place) in callers.iter().zip(places) {
        let delta = match missed.entry((*cursor, access.history_from_seq())) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => new.insert(since(tx, access, *cursor, limit, guards).await?).clone(),
        };
        deltas.push(v1::RoomDelta { summary: summaries.get(&place).cloned(), ..delta });
    }
    Ok(deltas)
}

/// What changed after a cursor, for everybody whose history of the room begins at the same item.
async fn since(
    tx: &mut PgConnection,
    access: &RoomAccess,
    cursor: Cursor,
    limit: i64,
    guards: Guards,
) -> Result<v1::RoomDelta> {
    let now = access.room();
    let delta =
        if cursor.is_useless(now) { reset(tx, access).await? } else { page(tx, access, cursor, limit, guards).await? };
    Ok(v1::RoomDelta { from: Some(cursor.wire()), snapshot_rev: now.rev, ..delta })
}

async fn reset(tx: &mut PgConnection, access: &RoomAccess) -> Result<v1::RoomDelta> {
    let room = access.room();
    let mut items = messages::store::list_before(tx, access, i64::MAX, NEWEST).await?;
    items.truncate(fitting(&items).max(1));
    items.reverse();
    let (members, receipts) = if room.large {
        (Vec::new(), Vec::new())
    } else {
        (
            rooms::store::members_changed(tx, access, 0, i64::MAX).await?,
            reads::store::changed(tx, access, 0, i64::MAX).await?,
        )
    };
    Ok(v1::RoomDelta {
        to: Some(Cursor { room_id: room.id, rev: room.rev, seq: room.seq }.wire()),
        last: true,
        reset: true,
        messages: items.iter().map(timeline::wire::message).collect(),
        members: members.iter().map(rooms::wire::member).collect(),
        receipts: receipts.iter().map(rooms::wire::receipt).collect(),
        ..Default::default()
    })
}

async fn page(
    tx: &mut PgConnection,
    access: &RoomAccess,
    cursor: Cursor,
    limit: i64,
    guards: Guards,
) -> Result<v1::RoomDelta> {
    let room = access.room();
    let mut new = messages::store::list_after(tx, access, cursor.seq, limit + 1).await?;
    let most = fitting(&new).min(usize::try_from(limit).unwrap_or(usize::MAX)).max(1);
    let more_new = new.len() > most;
    new.truncate(most);
    let mut delta = v1::RoomDelta { messages: new.iter().map(timeline::wire::message).collect(), ..Default::default() };
    let seq = new.last().map_or(cursor.seq, |item| item.seq);
    let left = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(new.len());
    let mut rev = cursor.rev;
    if !more_new && left > 0 {
        let (changed, all) = whole_revs(changed_rows(tx, access, cursor, left).await?, left);
        rev = if all { room.rev } else { changed.last().map_or(rev, Changed::rev) };
        delta.last = all;
        put(&mut delta, &changed);
    }
    if !guards.paging() {
        rev = room.rev;
    }
    let seq = if delta.last { room.seq } else { seq };
    delta.to = Some(Cursor { room_id: room.id, rev, seq }.wire());
    Ok(delta)
}

/// Rows at or below the cursor's position that changed after its revision, in the order of revisions; one more of each kind
/// than fit.
async fn changed_rows(tx: &mut PgConnection, access: &RoomAccess, cursor: Cursor, left: usize) -> Result<Vec<Changed>> {
    let limit = i64::try_from(left).unwrap_or(i64::MAX) + 1;
    let from = access.history_from_seq();
    let items = messages::store::list_changed(tx, access, (cursor.rev, cursor.seq), from, limit).await?;
    let mut rows: Vec<Changed> = items.into_iter().map(|item| Changed::Item(Box::new(item))).collect();
    if !access.room().large {
        let members = rooms::store::members_changed(tx, access, cursor.rev, limit).await?;
        rows.extend(members.into_iter().map(|member| Changed::Member(Box::new(member))));
        // A batch of receipts shares one revision and is never cut, so it is read whole.
        let receipts = reads::store::changed(tx, access, cursor.rev, limit + 200).await?;
        rows.extend(receipts.into_iter().map(|member| Changed::Receipt(Box::new(member))));
    }
    rows.sort_by_key(Changed::rev);
    Ok(rows)
}

/// Keeps the first rows that fit; a page never ends inside a revision. `true` when nothing was left out.
fn whole_revs(mut rows: Vec<Changed>, most: usize) -> (Vec<Changed>, bool) {
    if rows.len() <= most {
        return (rows, true);
    }
    let cut = rows[most].rev();
    let first = rows[0].rev();
    // A revision that is larger than a page goes whole.
    let kept = if cut == first {
        rows.partition_point(|row| row.rev() <= cut)
    } else {
        rows.partition_point(|row| row.rev() < cut)
    };
    let all = kept == rows.len();
    rows.truncate(kept);
    (rows, all)
}

fn put(delta: &mut v1::RoomDelta, changed: &[Changed]) {
    for row in changed {
        match row {
            Changed::Item(item) => delta.messages.push(timeline::wire::message(item)),
            Changed::Member(member) => delta.members.push(rooms::wire::member(member)),
            Changed::Receipt(member) => delta.receipts.push(rooms::wire::receipt(member)),
        }
    }
}

/// How many of these fit into a page.
fn fitting(items: &[Item]) -> usize {
    let mut bytes = 0;
    let fits = items.iter().take_while(|item| {
        bytes += 200 + item.text.len() + item.extra.as_ref().map_or(0, Vec::len);
        bytes <= PAGE_BYTES
    });
    fits.count()
}

/// A page of what changed for a person after a number; 0 returns what exists.
pub async fn user(tx: &mut PgConnection, user_id: UserId, after: i64, limit: i64) -> Result<v1::UserDelta> {
    let now = rooms::store::user_rev(tx, user_id).await?;
    let after = if after > now { 0 } else { after };
    let mut rows = rooms::store::memberships_changed(tx, user_id, after, limit + 1).await?;
    let last = rows.len() <= usize::try_from(limit).unwrap_or(usize::MAX);
    if !last {
        // Never inside a number.
        let cut = rows.pop().map_or(0, |row| row.user_rev);
        rows.retain(|row| row.user_rev < cut);
    }
    let to = if last { now } else { rows.last().map_or(after, |row| row.user_rev) };
    let mentions = mentions(tx, &rows).await?;
    Ok(v1::UserDelta { from_user_rev: after, to_user_rev: to, last, memberships: wire::memberships(&rows, &mentions) })
}

/// The pages of several people, each from a number of their own to their end, as far as they are short; of the others nothing.
pub async fn users(tx: &mut PgConnection, people: &[(UserId, i64)], limit: i64) -> Result<Vec<Option<v1::UserDelta>>> {
    let ids: Vec<UserId> = people.iter().map(|(user_id, _)| *user_id).collect();
    let now = rooms::store::user_revs(tx, &ids).await?;
    let now = |user_id: &UserId| now.get(user_id).copied().unwrap_or(0);
    let people: Vec<(UserId, i64)> =
        people.iter().map(|(id, after)| (*id, if *after > now(id) { 0 } else { *after })).collect();
    // Who opens two streams is read once, from the smaller number.
    let mut from: HashMap<UserId, i64> = HashMap::new();
    for (user_id, after) in &people {
        from.entry(*user_id).and_modify(|from| *from = (*after).min(*from)).or_insert(*after);
    }
    let from: Vec<(UserId, i64)> = from.into_iter().collect();
    let rows = rooms::store::memberships_changed_of(tx, &from, limit + 1).await?;
    let mentions = mentions(tx, &rows).await?;
    let mut by_person: HashMap<UserId, Vec<Member>> = HashMap::new();
    for row in rows {
        by_person.entry(row.user_id).or_default().push(row);
    }
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let page = |(user_id, after): (UserId, i64)| {
        let rows = by_person.get(&user_id).map_or(&[][..], Vec::as_slice);
        let own = rows.iter().filter(|row| row.user_rev > after && (after > 0 || row.state == JOINED));
        let memberships = wire::memberships(own, &mentions);
        let to_user_rev = now(&user_id);
        let page = v1::UserDelta { from_user_rev: after, to_user_rev, last: true, memberships };
        (rows.len() <= most).then_some(page)
    };
    Ok(people.into_iter().map(page).collect())
}

async fn mentions(tx: &mut PgConnection, rows: &[Member]) -> Result<HashMap<PlaceKey, Vec<i64>>> {
    if rows.is_empty() {
        return Ok(HashMap::new());
    }
    let places: Vec<PlaceKey> = rows.iter().map(|row| (row.room_id, row.user_id)).collect();
    rooms::store::unread_mentions(tx, &places).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(rev: i64) -> Changed {
        let at = chrono::DateTime::UNIX_EPOCH;
        let member = Member {
            room_id: RoomId(uuid::Uuid::nil()),
            user_id: UserId(uuid::Uuid::nil()),
            state: 1,
            role: 1,
            nickname: String::new(),
            joined_at: at,
            left_at: None,
            history_from_seq: 1,
            rev: 0,
            user_rev: 0,
            last_read_seq: 0,
            read_count: 0,
            read_generation: 0,
            mute_until: None,
            pinned_order: 0,
            favourite: false,
            notification_level: 0,
            draft: String::new(),
            folder: String::new(),
            told_read: 0,
            told_delivered: 0,
            receipt_rev: rev,
        };
        Changed::Receipt(Box::new(member))
    }

    fn kept(revs: &[i64], most: usize) -> (Vec<i64>, bool) {
        let (rows, all) = whole_revs(revs.iter().map(|rev| receipt(*rev)).collect(), most);
        (rows.iter().map(Changed::rev).collect(), all)
    }

    #[test]
    fn a_page_never_ends_inside_a_revision() {
        assert_eq!(kept(&[1, 2, 3], 3), (vec![1, 2, 3], true));
        assert_eq!(kept(&[1, 2, 2, 3], 2), (vec![1], false));
        assert_eq!(kept(&[2, 2, 2, 3], 2), (vec![2, 2, 2], false));
        assert_eq!(kept(&[2, 2, 2], 1), (vec![2, 2, 2], true));
    }
}
