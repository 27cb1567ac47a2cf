//! Every field of every request, made bad in every way that its type allows: the answer is a typed refusal that names the
//! field and its limit, or an honest answer, and never a fault.

use madang_devstack::issuer::Person;
use madang_proto::{MethodPolicy, POLICIES, Refusal, v1::ErrorReason};
use madang_server::config::Rate;
use madang_tests::{World, WorldConfig};
use prost_reflect::{FieldDescriptor, Kind, Value};
use tonic::Code;
use uuid::Uuid;

use crate::{
    hostile::{Hostile, values},
    people::Guest,
    raw::{Answer, Call},
    requests::{Contract, Place, Things, encoded},
};

/// Violations that one refusal names at most.
const MOST_NAMED: usize = 20;

/// Somebody who may call everything, and what their calls name.
struct Bench {
    world: World,
    contract: Contract,
    root: Guest,
    things: Things,
}

impl Bench {
    async fn new() -> Self {
        let settings = |config: &mut madang_server::config::Config| {
            (config.rate_ack, config.rate_typing) =
                (Rate::per_second(100_000, 100_000), Rate::per_second(100_000, 100_000));
            config.rooms_per_person = 1_000_000;
        };
        let world = World::with(WorldConfig { settings: Some(settings), ..WorldConfig::default() }).await;
        world.stack.issuer.add_person(Person::new("root", "All").with_role("SYSTEM_ADMIN"));
        let (root, other) = (Guest::of(&world, "root").await, Guest::of(&world, "guest5").await);
        let room_id = root.room(&[&other]).await;
        for n in 0..3 {
            root.calls.send(&room_id, &format!("{n}")).await.expect("sent");
        }
        let things = Things { room_id, user_id: other.id, device_id: Uuid::now_v7().to_string() };
        Self { world, contract: Contract::read(), root, things }
    }

    /// A new good request: some carry an id that is good for once.
    fn good(&self, policy: &MethodPolicy) -> prost_reflect::DynamicMessage {
        self.contract.good(&self.contract.method(policy), &self.things)
    }

    async fn call(&self, policy: &MethodPolicy, request: &[u8]) -> Answer {
        self.root.wire.call(Call::to(policy.path, request).by(&self.root.caller)).await
    }

    async fn still_answers(&self, after: &str) {
        let me = self.root.me().await;
        assert!(me.is_ok(), "after {after}: {me:?}");
    }
}

/// Calls with one request: all but the one on which the client streams, whose frames have tests of their own.
fn unary() -> impl Iterator<Item = &'static MethodPolicy> {
    POLICIES.iter().filter(|policy| policy.method != "Connect")
}

/// Every place in a method's request.
fn places(contract: &Contract, policy: &MethodPolicy) -> Vec<Place> {
    Place::all(&contract.method(policy).input())
}

/// `body.entities[3].url` is `body.entities.url` of the fourth.
fn without_numbers(field: &str) -> String {
    field.split('.').map(|part| part.split('[').next().unwrap_or_default()).collect::<Vec<_>>().join(".")
}

/// What is wrong with an answer that no well-behaved server gives to anything at all.
fn is_honest(answer: &Answer) -> Result<(), String> {
    let right = |holds: bool, wrong: &str| {
        if holds { Ok(()) } else { Err(format!("{wrong}: {:?} {}", answer.status, answer.http)) }
    };
    if answer.code() == Code::Ok {
        return right(!answer.messages.is_empty(), "no message");
    }
    let ours = [
        Code::InvalidArgument,
        Code::NotFound,
        Code::AlreadyExists,
        Code::FailedPrecondition,
        Code::PermissionDenied,
        Code::ResourceExhausted,
    ];
    right(ours.contains(&answer.code()), "a fault")?;
    let refusal = Refusal::of(&answer.status).ok_or("no reason of this contract")?;
    let rule = refusal.reason.rule();
    right(answer.code() == rule.code, "not the reason's code")?;
    right(!refusal.message.is_empty() && refusal.message.len() < 4_096, "no sentence, or a long one")?;
    right(refusal.metadata.keys().all(|key| rule.metadata_keys.contains(&&**key)), "unknown metadata")?;
    right(refusal.violations.is_empty() == (refusal.reason != ErrorReason::InvalidField), "violations without reason")
}

/// What is wrong with a refusal that should name a field and its limit.
fn names(answer: &Answer, field: &str) -> Result<(), String> {
    let refusal = Refusal::of(&answer.status).filter(|refusal| refusal.reason == ErrorReason::InvalidField);
    let refusal = refusal.ok_or_else(|| format!("not refused for a field: {:?}", answer.status))?;
    let named = refusal.violations.iter().find(|violation| without_numbers(&violation.field) == field);
    let named = named.ok_or_else(|| format!("the field is not named: {refusal:?}"))?;
    let repeated = refusal.metadata["field"] == refusal.violations[0].field
        && refusal.metadata["limit"] == refusal.violations[0].limit;
    if named.limit.is_empty() || !repeated { Err(format!("the limit is not named: {refusal:?}")) } else { Ok(()) }
}

/// Everything that went wrong in a walk; one bad answer must not hide the others.
#[derive(Debug, Default)]
struct Report {
    calls: usize,
    wrong: Vec<String>,
}

impl Report {
    fn note(&mut self, what: &str, outcome: Result<(), String>) {
        self.calls += 1;
        self.wrong.extend(outcome.err().map(|wrong| format!("{what}: {wrong}")));
    }

    #[track_caller]
    fn expect_clean(self, least: usize) {
        assert!(self.wrong.is_empty(), "{} of {}:\n{}", self.wrong.len(), self.calls, self.wrong.join("\n"));
        assert!(self.calls >= least, "{} calls", self.calls);
    }
}

#[test]
fn every_text_list_and_map_of_a_request_has_a_limit() {
    let contract = Contract::read();
    let (mut unbounded, mut seen) = (Vec::new(), 0);
    for policy in POLICIES {
        for place in places(&contract, policy) {
            let (field, limits) = (place.field(), contract.limits(place.field()));
            let is_text = matches!(field.kind(), Kind::String | Kind::Bytes);
            let has_length = limits.max_characters > 0 || limits.max_bytes > 0 || limits.format.starts_with("UUID");
            let bounded = (!field.is_list() || limits.max_items > 0)
                && (!field.is_map() || (limits.max_items > 0 && limits.max_bytes > 0))
                && (!is_text || has_length);
            seen += 1;
            if !bounded {
                unbounded.push(format!("{}: {}", policy.path, place.name()));
            }
        }
    }
    assert!(seen > 100, "{seen} fields");
    assert!(unbounded.is_empty(), "{unbounded:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_in_a_field_the_answer_is_typed_and_names_it() {
    let bench = Bench::new().await;
    let (mut report, mut forbidden_ones) = (Report::default(), 0);
    for policy in unary() {
        for place in places(&bench.contract, policy) {
            for Hostile { what, value, forbidden } in values(place.field(), &bench.contract.limits(place.field())) {
                let what = format!("{} with {what} in {}", policy.path, place.name());
                let request = place.put(&bench.good(policy), &bench.contract, &bench.things, value);
                let answer = bench.call(policy, &encoded(&request)).await;
                let named = if forbidden { names(&answer, &place.name()) } else { Ok(()) };
                report.note(&what, is_honest(&answer).and(named));
                forbidden_ones += usize::from(forbidden);
            }
        }
        bench.still_answers(policy.path).await;
    }
    assert!(forbidden_ones > 1_000, "{forbidden_ones}");
    report.expect_clean(2_000);
    bench.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_be_there_is_missed_by_name() {
    let bench = Bench::new().await;
    let mut report = Report::default();
    for policy in unary() {
        for place in places(&bench.contract, policy) {
            let good = bench.good(policy);
            let has_parents = place.0.len() == 1 || good.has_field(&place.0[0]);
            // One of several, or none.
            let is_optional = place.field().containing_oneof().is_some();
            let in_list = place.0.iter().rev().skip(1).any(FieldDescriptor::is_list);
            if !bench.contract.limits(place.field()).required || !has_parents || is_optional || in_list {
                continue;
            }
            let what = format!("{} without {}", policy.path, place.name());
            let answer = bench.call(policy, &encoded(&place.clear(&good))).await;
            report.note(&what, is_honest(&answer).and(names(&answer, &place.name())));
        }
        let empty = bench.contract.method(policy).input();
        if empty.fields().len() > 0 {
            report.note(policy.path, is_honest(&bench.call(policy, &[]).await));
        }
    }
    report.expect_clean(50);
    bench.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_violations_of_a_request_come_at_once() {
    let bench = Bench::new().await;
    let mut most = 0;
    for policy in unary() {
        let (mut request, mut expected) = (bench.good(policy), Vec::new());
        for place in places(&bench.contract, policy) {
            let limits = bench.contract.limits(place.field());
            let tried = values(place.field(), &limits).into_iter();
            let Some(bad) = tried
                .filter(|hostile| hostile.forbidden && !is_empty(&hostile.value))
                .min_by_key(|hostile| size(&hostile.value))
            else {
                continue;
            };
            // Two fields of a oneof push each other out.
            let in_oneof =
                |field: &FieldDescriptor| field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic());
            if place.0.iter().any(in_oneof)
                || matches!(place.field().kind(), Kind::Message(_)) && !place.field().is_map()
            {
                continue;
            }
            request = place.put(&request, &bench.contract, &bench.things, bad.value);
            expected.push(place.name());
        }
        if expected.is_empty() {
            continue;
        }
        let answer = bench.call(policy, &encoded(&request)).await;
        answer.is_refused(ErrorReason::InvalidField, policy.path);
        let found: Vec<String> =
            answer.refusal().violations.iter().map(|violation| without_numbers(&violation.field)).collect();
        let missing: Vec<_> = expected.iter().filter(|field| !found.contains(field)).collect();
        assert!(missing.is_empty() || found.len() >= MOST_NAMED, "{}: {missing:?} is not in {found:?}", policy.path);
        most = most.max(found.len());
    }
    assert!(most >= 10, "{most}");
    bench.world.end().await;
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::List(items) => items.is_empty() || items.iter().any(is_empty),
        _ => false,
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(pairs) => pairs.len(),
        _ => 1,
    }
}

/// Bytes of a field with a length: its number, how many, and they.
fn with_length(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::encode_varint(u64::from(number << 3 | 2), &mut out);
    prost::encoding::encode_varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_is_not_utf_8_is_a_malformed_request_wherever_it_is() {
    let bench = Bench::new().await;
    let mut texts = 0;
    for policy in unary() {
        for place in places(&bench.contract, policy).into_iter().filter(|place| place.field().kind() == Kind::String) {
            for wrong in [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"] {
                let field =
                    place.0.iter().rev().fold(wrong.to_vec(), |inner, field| with_length(field.number(), &inner));
                // Behind a good request: what comes last counts, and messages merge.
                let request = [encoded(&bench.good(policy)), field].concat();
                let what = format!("{}: {}", policy.path, place.name());
                bench.call(policy, &request).await.is_refused(ErrorReason::MalformedRequest, &what);
            }
            texts += 1;
        }
    }
    assert!(texts > 50, "{texts}");
    bench.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_message_are_a_malformed_request_on_every_method() {
    let bench = Bench::new().await;
    // What is not known is skipped, however strange, so each of these breaks the form itself.
    let nested = |depth: usize| [vec![0x0b; depth], vec![0x0c; depth]].concat();
    let malformed: [(&str, Vec<u8>); 8] = [
        ("a cut number", vec![0xff]),
        ("a number without end", vec![0xff; 11]),
        ("a length beyond the end", vec![0x0a, 0xff, 0xff, 0xff, 0x0f, 1]),
        ("field 0", vec![0x02, 0x00]),
        ("a kind that does not exist", vec![0x0f, 0x00]),
        ("the end of a group that did not begin", vec![0x7c]),
        ("a group that does not end", vec![0x7b]),
        ("a thousand groups in each other", nested(1_000).into_iter().map(|byte| byte | 0x70).collect()),
    ];
    for policy in unary() {
        for (what, bytes) in &malformed {
            let answer = bench.call(policy, bytes).await;
            answer.is_refused(ErrorReason::MalformedRequest, &format!("{}: {what}", policy.path));
        }
        for place in places(&bench.contract, policy).into_iter().filter(|place| place.0.len() == 1) {
            // A number where a text is due, and the other way about.
            let number = place.field().number();
            let wrong = match place.field().kind() {
                Kind::String | Kind::Message(_) => vec![u8::try_from(number << 3).expect("a small number"), 1],
                _ => with_length(number, b"\xff"),
            };
            let answer = bench.call(policy, &wrong).await;
            answer.is_refused(ErrorReason::MalformedRequest, &format!("{}: {}", policy.path, place.name()));
        }
        // A field that this version does not know is none of its business.
        let newer = [encoded(&bench.good(policy)), with_length(15_000, b"from a newer client")].concat();
        if policy.method != "SignOut" {
            assert_eq!(is_honest(&bench.call(policy, &newer).await), Ok(()), "{}", policy.path);
        }
    }
    bench.still_answers("all that").await;
    bench.world.end().await;
}

/// Requests that were right until something happened to their bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_with_flipped_bits_is_answered_like_any_other() {
    let bench = Bench::new().await;
    let (mut report, mut chance) = (Report::default(), 1_u64);
    let mut below = |most: usize| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(chance >> 33).unwrap_or_default() % most
    };
    let with_fields = |policy: &&MethodPolicy| bench.contract.method(policy).input().fields().len() > 0;
    for policy in unary().filter(with_fields) {
        for n in 0..60 {
            let mut request = encoded(&bench.good(policy));
            // Where nothing must be there, there is something all the same.
            request.extend([0x08, 0x01, 0x12, 0x01, b'a']);
            for _ in 0..=below(3) {
                let (at, bit) = (below(request.len()), below(8));
                request[at] ^= 1 << bit;
            }
            request.truncate(1 + below(request.len()) + below(3) * request.len());
            let what = format!("{} the {n}th time: {request:02x?}", policy.path);
            report.note(&what, is_honest(&bench.call(policy, &request).await));
        }
        bench.still_answers(policy.path).await;
    }
    report.expect_clean(1_500);
    bench.world.end().await;
}
