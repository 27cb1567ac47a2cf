//! One task that looks at every stream of the node twice a second: heartbeats, ends of tokens, silent peers, readers that
//! take nothing, people who came and went. One task for all, because a timer and a task for each stream would cost memory that idle streams pay.

use std::{sync::Arc, time::Duration};

use crate::realtime::{ClosingReason, Node, Session};

/// How often the streams are looked at; small against the shortest bound that it holds.
const EVERY: Duration = Duration::from_millis(500);

/// A reader that took nothing is told so, and this much later its stream ends without a word.
const LAST_CHANCE: Duration = Duration::from_secs(5);

/// Looks at the streams until the node ends.
pub async fn pulse(node: Node) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for session in node.hub.sessions() {
            look_at(&node, &session);
        }
        node.hub.tell_presence();
    }
}

fn look_at(node: &Node, session: &Arc<Session>) {
    let config = &node.config;
    if session.is_ended() || session.silent_for() > config.peer_timeout {
        return node.close(session);
    }
    if session.opener().connection.is_over() {
        session.close(ClosingReason::MaxAge, Duration::from_millis(rand::random_range(0..2_000)));
    }
    let stuck = session.stuck_for();
    if stuck > config.slow_consumer + LAST_CHANCE {
        metrics::counter!("madang_slow_consumers_total").increment(1);
        return node.close(session);
    }
    if stuck > config.slow_consumer {
        session.close(ClosingReason::SlowConsumer, Duration::from_secs(1));
    }
    look_at_token(node, session);
    if session.beat_due(config.heartbeat) {
        let rooms = session
            .focus(|focus| focus.rooms.clone())
            .into_iter()
            .filter(|room_id| node.hub.is_listening(session.id(), *room_id));
        let revs = rooms.filter_map(|room_id| Some((room_id, node.hub.tail(room_id)?)));
        session.beat(node.clock.now(), revs.collect(), node.hub.covered());
    }
}

/// A stream outlives its token only by the grace; the peer is asked for a fresh one before.
fn look_at_token(node: &Node, session: &Session) {
    let grace = i64::try_from(node.config.token_grace.as_secs()).unwrap_or(i64::MAX);
    let now = node.clock.now().timestamp();
    if session.token().at() - now <= -grace {
        session.close(ClosingReason::TokenExpired, Duration::ZERO);
    } else if session.token().asks(now, grace) {
        session.tell_token_end(node.config.token_grace);
    }
}
