//! People who are signed in, and the rooms they are in: written straight into the database, because making them through
//! the server would take longer than what is measured.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use madang_devstack::issuer::{Issuer, IssuerConfig, Person};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};
use tonic::Request;
use tonic::metadata::MetadataValue;
use uuid::Uuid;

use crate::ground::Ground;

/// Longer than any run.
const TOKEN_LIFETIME: Duration = Duration::from_hours(4);

/// Bytes of every message.
pub const TEXT_BYTES: usize = 200;

/// A message of that size.
pub fn text() -> String {
    "Shall we meet at three? ".chars().cycle().take(TEXT_BYTES).collect()
}

/// The id of a room by its number; SQL makes the same.
pub fn room_id(number: usize) -> Uuid {
    Uuid::from_u128(0x7000_8000_0000_0000_0000 | number as u128)
}

/// The id of a person by their number.
pub fn user_id(number: usize) -> Uuid {
    Uuid::from_u128(0x7000_9000_0000_0000_0000 | number as u128)
}

/// What ids of devices begin with.
const DEVICES: u128 = 0x7000_a000_0000_0000_0000;

/// The id of a person's device, by the person's number.
fn device_id(number: usize) -> Uuid {
    Uuid::from_u128(DEVICES | number as u128)
}

/// The number of the person whose device this is.
pub fn number_of_device(id: &str) -> Option<usize> {
    usize::try_from(Uuid::parse_str(id).ok()?.as_u128().checked_sub(DEVICES)?).ok()
}

/// Somebody with a token.
#[derive(Clone, Debug)]
pub struct Somebody {
    /// Installation.
    pub device_id: String,
    /// Access token.
    pub token: String,
}

impl Somebody {
    /// Says who calls.
    pub fn sign<T>(&self, message: T) -> Result<Request<T>> {
        let mut request = Request::new(message);
        let bearer: MetadataValue<_> = format!("Bearer {}", self.token).parse().context("a token is ASCII")?;
        request.metadata_mut().insert("authorization", bearer);
        request.metadata_mut().insert("madang-device-id", self.device_id.parse().context("an id is ASCII")?);
        Ok(request)
    }
}

/// Who vouches for people, and the tokens that were given so far. A token takes 3 ms, so all benches share them.
pub struct Folk {
    issuer: Issuer,
    known: Mutex<Vec<Somebody>>,
}

impl Folk {
    /// Knows nobody yet.
    pub async fn start() -> Result<Self> {
        let config = IssuerConfig { access_token_lifetime: TOKEN_LIFETIME, ..IssuerConfig::default() };
        Ok(Self { issuer: Issuer::start(config).await?, known: Mutex::default() })
    }

    /// The first so many.
    fn first(&self, count: usize) -> Result<Vec<Somebody>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<usize> = (known.len()..count).collect();
        let each = new.len().div_ceil(thread::available_parallelism()?.get()).max(1);
        let signed = thread::scope(|scope| {
            let part = |numbers: &[usize]| numbers.iter().map(|number| self.sign_in(*number)).collect::<Vec<_>>();
            let parts: Vec<_> = new.chunks(each).map(|numbers| scope.spawn(move || part(numbers))).collect();
            parts.into_iter().map(thread::ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        for part in signed {
            for somebody in part.map_err(|_| anyhow!("a thread that signs tokens panicked"))? {
                known.push(somebody?);
            }
        }
        Ok(known.iter().take(count).cloned().collect())
    }

    fn sign_in(&self, number: usize) -> Result<Somebody> {
        let login = login(number);
        self.issuer.add_person(Person::new(&login, "Bench"));
        Ok(Somebody { device_id: device_id(number).to_string(), token: self.issuer.token(&login)? })
    }
}

fn login(number: usize) -> String {
    format!("person{number}")
}

/// People of a database, and who vouches for them.
pub struct Crowd {
    issuer_url: String,
    /// In the order of their numbers.
    pub people: Vec<Somebody>,
}

impl Crowd {
    /// Makes people in a database, each with a token.
    pub async fn gather(ground: &Ground, database_url: &str, count: usize) -> Result<Self> {
        let folk = ground.folk();
        insert_people(database_url, folk.issuer.url(), count).await?;
        let people = tokio::task::block_in_place(|| folk.first(count))?;
        Ok(Self { issuer_url: folk.issuer.url().to_owned(), people })
    }

    /// The issuer's address.
    pub fn issuer_url(&self) -> &str {
        &self.issuer_url
    }
}

async fn insert_people(database_url: &str, issuer: &str, count: usize) -> Result<()> {
    let mut connection = PgConnection::connect(database_url).await?;
    let logins: Vec<String> = (0..count).map(login).collect();
    let subjects: Vec<String> = logins.iter().map(|login| Person::new(login, "Bench").subject()).collect();
    let ids: Vec<Uuid> = (0..count).map(user_id).collect();
    let people = sqlx::query(
        "insert into users (id, issuer, subject, login, login_key, name_key, display_name, claimed_name)
         select id, $1, subject, login, login, login, login, login from unnest($2::uuid[], $3::text[], $4::text[])
             w (id, subject, login)",
    );
    people.bind(issuer).bind(&ids).bind(&subjects).bind(&logins).execute(&mut connection).await?;
    connection.execute("insert into user_cursors (user_id) select id from users").await?;
    Ok(connection.close().await?)
}

/// Who is in a room of so many: each room takes the next people, around the circle, until everybody is in as many as the
/// others. Each lap goes around in another order, so that rooms of different laps hold different people.
pub fn circle(room: usize, members: usize, people: usize) -> Vec<usize> {
    let (lap, first) = (room * members / people, room * members % people);
    // A step that shares no divisor with the circle comes by everybody once.
    let step = (1..).filter(|step| divisor(*step, people) == 1).nth(lap).unwrap_or(1);
    (0..members).map(|place| (first + place) * step % people).collect()
}

/// The greatest one of both.
fn divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { divisor(b, a % b) }
}

/// Makes rooms, each with the people whose numbers `members` gives.
pub async fn insert_rooms(database_url: &str, rooms: usize, members: impl Fn(usize) -> Vec<usize>) -> Result<()> {
    let (mut ids, mut counts, mut places, mut people) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    // Each of a person's places is a change of its own.
    let (mut numbers, mut user_revs) = (BTreeMap::<usize, i64>::new(), Vec::new());
    for number in 0..rooms {
        let inside = members(number);
        ids.push(room_id(number));
        counts.push(i32::try_from(inside.len())?);
        places.extend(inside.iter().map(|_| room_id(number)));
        for person in inside {
            people.push(user_id(person));
            let number = numbers.entry(person).or_default();
            *number += 1;
            user_revs.push(*number);
        }
    }
    let mut connection = PgConnection::connect(database_url).await?;
    // Open rooms, for they may be of any size; above 200 members a room is large.
    let rooms = sqlx::query(
        "insert into rooms (id, kind, name, created_by, payload_hash, member_count, large, rev, changed_xid)
         select id, 3, 'bench', $1, '', members, members > 200, 1, pg_current_xact_id()::text::bigint
         from unnest($2::uuid[], $3::int[]) w (id, members)",
    );
    rooms.bind(user_id(0)).bind(&ids).bind(&counts).execute(&mut connection).await?;
    let members = sqlx::query(
        "insert into members (room_id, user_id, state, joined_at, rev, user_rev)
         select room_id, user_id, 1, now(), 1, n from unnest($1::uuid[], $2::uuid[], $3::bigint[]) w (room_id, user_id, n)",
    );
    members.bind(&places).bind(&people).bind(&user_revs).execute(&mut connection).await?;
    let numbers = "update user_cursors c set user_rev = (select count(*) from members m where m.user_id = c.user_id)";
    connection.execute(numbers).await?;
    connection.execute("analyze").await?;
    Ok(connection.close().await?)
}

/// Fills all rooms with so many messages each, of the person with number 1.
pub async fn insert_messages(database_url: &str, each: usize) -> Result<()> {
    let mut connection = PgConnection::connect(database_url).await?;
    let messages = sqlx::query(
        "insert into messages (room_id, seq, rev, count, sender_id, client_message_id, payload_hash, created_at, kind, text)
         select r.id, n, n + 1, n, $1, gen_random_uuid(), '', now() - interval '1 day', 1, $2
         from rooms r, generate_series(1, $3) n",
    );
    messages.bind(user_id(1)).bind(text()).bind(i64::try_from(each)?).execute(&mut connection).await?;
    let rooms = sqlx::query("update rooms set seq = $1, count = $1, last_countable_seq = $1, rev = $1 + 1");
    rooms.bind(i64::try_from(each)?).execute(&mut connection).await?;
    connection.execute("analyze").await?;
    Ok(connection.close().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_holds_nobody_twice_and_everybody_is_in_as_many() {
        for (rooms, members, people) in [(1_000, 50, 5_000), (2_500, 20, 1_000)] {
            let mut each = vec![0; people];
            for room in 0..rooms {
                let mut inside = circle(room, members, people);
                for person in &inside {
                    each[*person] += 1;
                }
                inside.sort_unstable();
                inside.dedup();
                assert_eq!(inside.len(), members);
            }
            assert!(each.iter().all(|count| *count == rooms * members / people));
        }
    }

    #[test]
    fn ids_are_of_version_7_and_texts_of_one_size() {
        assert_eq!(room_id(258).to_string(), "00000000-0000-7000-8000-000000000102");
        assert_eq!(user_id(1).to_string(), "00000000-0000-7000-9000-000000000001");
        assert_eq!(text().len(), TEXT_BYTES);
        assert_eq!(number_of_device(&device_id(258).to_string()), Some(258));
    }
}
