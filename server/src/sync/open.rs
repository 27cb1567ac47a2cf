//! The first read of a stream, and the reads that its dirt asks for.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use madang_proto::v1;
use sqlx::PgConnection;

use super::{
    delta::{self, Cursor},
    store, wire,
};
use crate::{
    access::{self, Call},
    error::{Error, Reason, Refusal, Result},
    ids::{RoomId, UserId},
    realtime::{self, Happened, Membership, Node, Session, Work},
    rooms::{
        self, Summary,
        store::{Gone, PlaceKey},
    },
    sabotage::Guards,
    together::Together,
    users,
};

/// Rows of a delta that is pushed; a client asks for the rest.
const PUSHED_ROWS: i64 = 200;
/// Memberships in one frame.
const MEMBERSHIPS: i64 = 500;
/// Summaries that are read in one go, as the reader takes them.
pub const SUMMARIES: usize = 100;

/// What a stream is owed at its beginning.
#[derive(Debug)]
pub struct Beginning {
    /// Sent at once.
    pub frames: Vec<Bytes>,
    /// Rooms to give a verdict on, in this order.
    pub rooms: Vec<Owed>,
    /// Told when all of it has been sent.
    pub watermark: i64,
}

/// A room to give a verdict on.
#[derive(Debug, Clone, Copy)]
pub enum Owed {
    /// Named by the client: what changed after its cursor.
    Delta(Cursor),
    /// A summary.
    Summary(RoomId),
}

/// What a client said of itself.
#[derive(Debug, Clone)]
pub struct Stand {
    epoch: String,
    user_rev: i64,
    watermark: i64,
    cursors: Vec<Cursor>,
}

impl Stand {
    /// Reads a Hello. A room that is named twice is refused: each mention would be answered with a page.
    pub fn of(hello: &v1::Hello) -> Result<Self> {
        let cursors = hello.rooms.iter().map(Cursor::of).collect::<Result<Vec<_>>>()?;
        let rooms: HashSet<RoomId> = cursors.iter().map(|cursor| cursor.room_id).collect();
        if rooms.len() < cursors.len() {
            return Err(Refusal::field("hello.rooms", "each room once").into());
        }
        Ok(Self { epoch: hello.epoch.clone(), user_rev: hello.user_rev, watermark: hello.watermark, cursors })
    }

    /// Of another epoch nothing is of use.
    fn in_epoch(mut self, epoch: &str) -> Self {
        if self.epoch != epoch {
            self.user_rev = 0;
            self.watermark = 0;
            self.cursors.iter_mut().for_each(|cursor| (cursor.rev, cursor.seq) = (0, 0));
        }
        self
    }
}

/// A stream that begins.
#[derive(Debug, Clone)]
pub struct Opening {
    session: Arc<Session>,
    stand: Arc<Stand>,
}

impl Opening {
    /// A stream, and what its client said of itself.
    pub fn new(session: &Arc<Session>, stand: Stand) -> Self {
        Self { session: Arc::clone(session), stand: Arc::new(stand) }
    }

    fn user_id(&self) -> UserId {
        self.session.user_id()
    }
}

/// A room of which the client of a call holds what was there as of a cursor.
#[derive(Debug, Clone)]
pub struct Missed {
    call: Call,
    cursor: Cursor,
}

/// Where the beginnings of streams are read.
#[derive(Debug, Clone)]
pub struct Crowd {
    openings: Together<Opening, Beginning>,
    missed: Together<Missed, v1::RoomDelta>,
    verdicts: Together<Verdicts, Seen>,
}

impl Crowd {
    /// For the streams of a node.
    pub fn start(node: &Node) -> Self {
        let (first, second, third) = (node.clone(), node.clone(), node.clone());
        let turns = || node.database.stream_turns();
        Self {
            openings: Together::start(turns(), move |openings| Box::pin(begin(first.clone(), openings))),
            missed: Together::start(turns(), move |missed| Box::pin(room_deltas(second.clone(), missed))),
            verdicts: Together::start(turns(), move |asked| Box::pin(verdicts(third.clone(), asked))),
        }
    }

    /// What a stream is owed at its beginning.
    pub async fn begin(&self, opening: Opening) -> Result<Beginning> {
        self.openings.ask(opening).await
    }

    /// What changed after a cursor, or the verdict that the room is gone.
    pub async fn named_delta(
        &self,
        node: &Node,
        session: &Arc<Session>,
        call: &Call,
        cursor: Cursor,
    ) -> Result<Vec<Bytes>> {
        match self.missed.ask(Missed { call: call.clone(), cursor }).await {
            Ok(delta) => {
                session.note(Happened::Told(cursor.room_id, cursor.rev, told_rev(&delta)));
                Ok(vec![wire::room_delta(delta)])
            }
            Err(error) if is_gone(&error) => self.summaries(node, session, vec![cursor.room_id]).await,
            Err(error) => Err(error),
        }
    }

    /// Gives the verdict on these rooms.
    async fn summaries(&self, node: &Node, session: &Arc<Session>, rooms: Vec<RoomId>) -> Result<Vec<Bytes>> {
        let seen = self.verdicts.ask(Verdicts { user_id: session.user_id(), rooms }).await?;
        node.database.guards().pass("summaries_read").await;
        Ok(say(node, session, seen))
    }

    /// Reads what a drained reader is owed.
    pub async fn dirt(&self, node: &Node, session: &Arc<Session>, work: Work) -> Result<Vec<Bytes>> {
        match work {
            Work::Rooms(rooms) => self.summaries(node, session, rooms).await,
            Work::Profiles => Ok(vec![realtime::wire::people_changed(None)]),
            Work::Person => person(node, session).await,
        }
    }
}

/// The person's number, and rooms that are not listened to yet.
async fn person(node: &Node, session: &Arc<Session>) -> Result<Vec<Bytes>> {
    let user_id = session.user_id();
    // Never closed.
    let _turn = node.database.stream_turns().acquire_owned().await;
    let mut connection = node.database.pool().acquire().await?;
    let user_rev = rooms::store::user_rev(&mut connection, user_id).await?;
    if node.database.guards().index_repair() {
        for membership in realtime::memberships(&mut connection, &[user_id]).await?.values().flatten() {
            listen_if_new(node, session, membership);
        }
    }
    // What this stream was told is left as it is: the poll also looks whether the session may stay.
    Ok(vec![wire::user_behind(user_rev)])
}

/// Register, then the watermark, then what changed: in this order nothing can fall between.
async fn begin(node: Node, openings: Vec<Opening>) -> Result<Vec<Result<Beginning>>> {
    let guards = node.database.guards();
    let epoch = node.database.epoch().borrow().clone();
    let beginnings = if guards.register_first() {
        register(&node, &openings).await?;
        guards.pass("registered").await;
        read(&node, &openings, &epoch).await?
    } else {
        let beginnings = read(&node, &openings, &epoch).await?;
        register(&node, &openings).await?;
        beginnings
    };
    Ok(beginnings.into_iter().map(Ok).collect())
}

fn people(openings: &[Opening]) -> Vec<UserId> {
    let people: BTreeSet<UserId> = openings.iter().map(Opening::user_id).collect();
    people.into_iter().collect()
}

async fn register(node: &Node, openings: &[Opening]) -> Result<()> {
    let mut connection = node.database.pool().acquire().await?;
    let people = people(openings);
    node.bus.listen([], people.iter().copied()).await;
    let memberships = realtime::memberships(&mut connection, &people).await?;
    for opening in openings {
        for membership in memberships.get(&opening.user_id()).into_iter().flatten() {
            node.hub.listen(&opening.session, membership);
        }
    }
    // What other nodes say of these rooms must be heard before anything is read.
    node.bus.listen(memberships.values().flatten().map(|membership| membership.room_id), []).await;
    Ok(())
}

async fn read(node: &Node, openings: &[Opening], epoch: &str) -> Result<Vec<Beginning>> {
    let guards = node.database.guards();
    let mut connection = node.database.pool().acquire().await?;
    let tx = &mut connection;
    let mut watermark = store::watermark(tx, guards.xmin()).await?;
    let stands: Vec<Stand> = openings.iter().map(|opening| Stand::clone(&opening.stand).in_epoch(epoch)).collect();
    let of_people = people_deltas(tx, openings, &stands).await?;
    let places =
        openings.iter().zip(&stands).map(|(opening, stand)| (opening.user_id(), stand.watermark, stand.user_rev));
    let rooms = store::rooms(tx, &places.collect::<Vec<_>>()).await?;
    let profiles = changed_profiles(tx, openings, &stands).await?;
    guards.pass("rooms_found").await;
    if !guards.watermark_before_read() {
        watermark = store::watermark(tx, guards.xmin()).await?;
    }
    let mut beginnings = Vec::with_capacity(openings.len());
    let read = openings.iter().zip(stands).zip(of_people).zip(rooms).zip(profiles);
    for ((((opening, stand), deltas), rooms), profiles) in read {
        // A stay that began after the registration is told by now, so the poll misses nothing; its event may be lost.
        for membership in rooms.memberships.iter().filter(|_| guards.register_first()) {
            listen_if_new(node, &opening.session, membership);
        }
        opening.session.reached(deltas.last().map_or(0, |delta| delta.to_user_rev));
        let mut frames = vec![welcome(node, &opening.session, epoch)];
        frames.extend(deltas.into_iter().map(wire::user_delta));
        frames.extend(profiles);
        beginnings.push(Beginning { frames, rooms: owed(&stand, &rooms), watermark });
    }
    Ok(beginnings)
}

/// What changed for each of these people, in pages.
async fn people_deltas(
    tx: &mut PgConnection,
    openings: &[Opening],
    stands: &[Stand],
) -> Result<Vec<Vec<v1::UserDelta>>> {
    let numbers = openings.iter().zip(stands).map(|(opening, stand)| (opening.user_id(), stand.user_rev));
    let numbers: Vec<(UserId, i64)> = numbers.collect();
    let short = delta::users(tx, &numbers, MEMBERSHIPS).await?;
    let mut deltas = Vec::with_capacity(numbers.len());
    for ((user_id, after), short) in numbers.into_iter().zip(short) {
        deltas.push(match short {
            Some(page) => vec![page],
            None => long_delta(tx, user_id, after).await?,
        });
    }
    Ok(deltas)
}

async fn long_delta(tx: &mut PgConnection, user_id: UserId, mut after: i64) -> Result<Vec<v1::UserDelta>> {
    let mut pages = Vec::new();
    loop {
        let page = delta::user(tx, user_id, after, MEMBERSHIPS).await?;
        let last = page.last;
        after = page.to_user_rev;
        pages.push(page);
        if last {
            return Ok(pages);
        }
    }
}

/// What each of these people is told of changed profiles; whoever was never here fetches what they show.
async fn changed_profiles(tx: &mut PgConnection, openings: &[Opening], stands: &[Stand]) -> Result<Vec<Option<Bytes>>> {
    let places: Vec<usize> = (0..stands.len()).filter(|place| stands[*place].watermark > 0).collect();
    let mut told = vec![None; openings.len()];
    if places.is_empty() {
        return Ok(told);
    }
    let people: Vec<_> = places.iter().map(|place| (openings[*place].user_id(), stands[*place].watermark)).collect();
    for (place, changed) in places.into_iter().zip(store::changed_profiles(tx, &people).await?) {
        told[place] = profiles(changed);
    }
    Ok(told)
}

/// What changed after the cursors of these calls, in one snapshot.
async fn room_deltas(node: Node, missed: Vec<Missed>) -> Result<Vec<Result<v1::RoomDelta>>> {
    let (missed, guards): (Arc<[Missed]>, _) = (missed.into(), node.database.guards());
    let read = node.database.snapshot(move |tx| {
        let missed = Arc::clone(&missed);
        Box::pin(async move {
            let calls: Vec<_> = missed.iter().map(|missed| (&missed.call, missed.cursor.room_id)).collect();
            let entered = access::rooms(tx, &calls, guards).await?;
            let (mut inside, mut answers) = (Vec::new(), Vec::new());
            for (entered, missed) in entered.into_iter().zip(missed.iter()) {
                answers.push(entered.map(|access| inside.push((access, missed.cursor))));
            }
            let mut deltas = delta::rooms(tx, &inside, PUSHED_ROWS, guards).await?.into_iter();
            let answer = |entered: Result<()>| entered.map(|()| deltas.next().unwrap_or_default());
            Ok(answers.into_iter().map(answer).collect())
        })
    });
    read.await
}

/// Changed rooms, those that the client named first; and named rooms that the person is not in, which are gone.
fn owed(stand: &Stand, store::Rooms { changed, memberships }: &store::Rooms) -> Vec<Owed> {
    let named: Vec<RoomId> = stand.cursors.iter().map(|cursor| cursor.room_id).collect();
    let mut mine: Vec<RoomId> = memberships.iter().map(|membership| membership.room_id).collect();
    mine.sort_unstable();
    let is_mine = |id: &RoomId| mine.binary_search(id).is_ok();
    let deltas =
        stand.cursors.iter().filter(|cursor| changed.contains(&cursor.room_id)).map(|cursor| Owed::Delta(*cursor));
    let gone = named.iter().filter(|id| !is_mine(id)).map(|id| Owed::Summary(*id));
    let rest = changed.iter().filter(|id| !named.contains(id)).map(|id| Owed::Summary(*id));
    deltas.chain(gone).chain(rest).collect()
}

fn welcome(node: &Node, session: &Session, epoch: &str) -> Bytes {
    wire::welcome(v1::Welcome {
        session_id: session.id().to_string(),
        node: node.name.to_string(),
        epoch: epoch.to_owned(),
        server_time: Some(realtime::wire::timestamp(node.clock.now())),
        limits: Some(users::identity::server_limits(&node.config)),
        user_id: session.user_id().to_string(),
    })
}

fn profiles(changed: Option<Vec<(UserId, i64)>>) -> Option<Bytes> {
    let none = changed.as_ref().is_some_and(Vec::is_empty);
    (!none).then(|| realtime::wire::people_changed(changed))
}

/// Rooms that a person is owed a verdict on.
#[derive(Debug, Clone)]
struct Verdicts {
    user_id: UserId,
    rooms: Vec<RoomId>,
}

/// What is to be said of them.
#[derive(Debug, Default)]
struct Seen {
    present: Vec<Summary>,
    missing: Vec<(RoomId, Option<Gone>)>,
}

async fn verdicts(node: Node, asked: Vec<Verdicts>) -> Result<Vec<Result<Seen>>> {
    let (asked, unchecked): (Arc<[Verdicts]>, _) = (asked.into(), !node.database.guards().access_at_read());
    let read = node.database.snapshot(move |tx| {
        let asked = Arc::clone(&asked);
        Box::pin(async move {
            let places = |verdicts: &Verdicts| rooms::store::places_of(verdicts.user_id, &verdicts.rooms);
            let mut places: Vec<PlaceKey> = asked.iter().flat_map(places).collect();
            let present = rooms::store::summaries_unless(tx, &places, unchecked).await?.into_iter();
            let present: HashMap<PlaceKey, Summary> =
                present.map(|summary| ((summary.room.id, summary.member.user_id), summary)).collect();
            places.retain(|place| !present.contains_key(place));
            let gone = if places.is_empty() { Vec::new() } else { rooms::store::find_gone(tx, &places).await? };
            let gone: HashMap<PlaceKey, Gone> =
                gone.into_iter().map(|gone| ((gone.room_id, gone.user_id), gone)).collect();
            let mut answers = Vec::with_capacity(asked.len());
            for Verdicts { user_id, rooms } in asked.iter() {
                let mut seen = Seen::default();
                for room_id in rooms {
                    let place = (*room_id, *user_id);
                    match present.get(&place) {
                        Some(summary) => seen.present.push(summary.clone()),
                        None => seen.missing.push((*room_id, gone.get(&place).copied())),
                    }
                }
                answers.push(Ok(seen));
            }
            Ok(answers)
        })
    });
    read.await
}

/// Says what was seen; whoever is no member learns that the room is gone and listens to it no longer.
fn say(node: &Node, session: &Arc<Session>, seen: Seen) -> Vec<Bytes> {
    // Whoever is in by a later stay than the one that is listened to may see less: their removal has not been heard of here.
    for summary in &seen.present {
        listen_if_new(node, session, &summary.member.listen((summary.room.rev, summary.room.seq)));
    }
    // At its beginning a stream is told of all rooms that changed; that is one entry of the record, not thousands.
    if session.is_live() {
        for told in &seen.present {
            session.note(Happened::Told(told.room.id, 0, told.room.rev));
        }
    }
    let mut frames: Vec<Bytes> =
        seen.present.iter().map(|summary| wire::room_summary(rooms::wire::summary(summary))).collect();
    for (room_id, place) in seen.missing {
        forget(node, session, room_id, place.as_ref());
        frames.push(wire::room_summary(rooms::wire::gone(room_id, place.as_ref())));
    }
    frames
}

fn forget(node: &Node, session: &Session, room_id: RoomId, place: Option<&Gone>) {
    let up_to = place.map_or(i64::MAX, |gone| if gone.ended_rev.is_some() { i64::MAX } else { gone.rev });
    node.hub.leave(session, room_id, up_to);
}

/// The revision up to which a delta tells.
pub fn told_rev(delta: &v1::RoomDelta) -> i64 {
    delta.to.as_ref().map_or(0, |to| to.rev)
}

/// What changed after a cursor, or for a caller who is no member any more the verdict alone. Both are of one snapshot: who is
/// out in one may be in again in the next, with a newer number, and would be told by that number that they are out.
pub async fn room_delta_or_gone(node: &Node, call: &Call, cursor: Cursor, limit: i64) -> Result<v1::RoomDelta> {
    let (call, guards) = (call.clone(), node.database.guards());
    let read = node.database.snapshot(move |tx| {
        let call = call.clone();
        Box::pin(async move {
            match changed(tx, &call, cursor, limit, guards).await {
                Err(error) if is_gone(&error) => gone_delta(tx, call.user_id()?, cursor.room_id).await,
                answer => answer,
            }
        })
    });
    read.await
}

async fn changed(
    tx: &mut PgConnection,
    call: &Call,
    cursor: Cursor,
    limit: i64,
    guards: Guards,
) -> Result<v1::RoomDelta> {
    let access = access::room(tx, call, cursor.room_id, guards).await?;
    delta::room(tx, access, cursor, limit, guards).await
}

fn is_gone(error: &Error) -> bool {
    error.is(Reason::RoomNotFound) || error.is(Reason::RoomEnded)
}

async fn gone_delta(tx: &mut PgConnection, user_id: UserId, room_id: RoomId) -> Result<v1::RoomDelta> {
    let gone = rooms::store::find_gone(tx, &[(room_id, user_id)]).await?;
    let Some(place) = gone.first() else { return Err(Error::room_not_found()) };
    Ok(v1::RoomDelta { summary: Some(rooms::wire::gone(room_id, Some(place))), last: true, ..Default::default() })
}

/// A stay that the session does not listen to yet is registered dirty: read first, then live.
pub fn listen_if_new(node: &Node, session: &Arc<Session>, membership: &Membership) {
    if !node.hub.listens_since(session.id(), membership.room_id, membership.rev) {
        node.listen_later(session, membership);
    }
}
