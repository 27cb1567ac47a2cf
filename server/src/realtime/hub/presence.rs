//! Who is here, on this node or another, and which of a person's streams may stay.

use std::time::Duration;

use super::{Hub, locked};
use crate::{
    ids::{DeviceId, SessionId, UserId},
    realtime::{ClosingReason, Focus, Known, Session, bus::Streams},
};

/// Streams of one device that two nodes open within this time are told apart by their ids, so that both nodes end the same
/// one. Otherwise the one that was opened later counts: ids are made of the nodes' clocks, which may differ.
const SAME_MOMENT: Duration = Duration::from_secs(1);

impl Hub {
    /// Says what is on the screen of a stream.
    pub fn set_focus(&self, session: &Session, focus: Focus) {
        session.set_focus(focus);
        self.presence.moved();
    }

    /// Tells the streams who is here of those they show, where that has changed.
    pub fn tell_presence(&self) {
        if !(self.presence.take_moved() | self.elsewhere.sweep()) {
            return;
        }
        for session in self.sessions() {
            let people = session.focus(Focus::people);
            if people.is_empty() {
                continue;
            }
            let people = people.into_iter().map(|user_id| (user_id, self.is_here(user_id))).collect();
            if !session.tell(&Known { people, ..Known::default() }) {
                self.presence.moved();
            }
        }
    }

    fn is_here(&self, user_id: UserId) -> bool {
        let here = locked(&self.index).people.contains_key(&user_id);
        here || self.elsewhere.has(user_id) || self.presence.lingers(user_id)
    }

    /// The people who are here.
    pub fn people(&self) -> Vec<UserId> {
        locked(&self.index).people.keys().copied().collect()
    }

    /// The people who are here, or are looked at by somebody who is.
    pub(in crate::realtime) fn people_of_interest(&self) -> Vec<UserId> {
        let mut people = self.people();
        for session in self.sessions() {
            people.extend(session.focus(Focus::people));
        }
        people
    }

    /// The streams of a person on this node, as other nodes are told of them.
    pub(in crate::realtime) fn streams_of(&self, user_id: UserId) -> Streams {
        let streams = self.sessions_of(user_id);
        streams.iter().map(|session| (session.id(), session.opener().device_id)).collect()
    }

    /// Takes what another node says of a person's streams there, and of the one among them that has just been opened.
    pub(in crate::realtime) fn take_elsewhere(
        &self,
        node: &str,
        user_id: UserId,
        streams: Streams,
        opened: Option<SessionId>,
    ) {
        let opened = opened.and_then(|id| streams.iter().copied().find(|(session, _)| *session == id));
        if self.elsewhere.take(node, user_id, streams) {
            self.presence.moved();
        }
        if let Some((id, device_id)) = opened {
            self.replace(user_id, device_id, |session| session.age() > SAME_MOMENT || session.id() < id);
        }
        self.end_oldest(user_id);
    }

    /// A node has stopped: nobody is there any more.
    pub(in crate::realtime) fn forget_node(&self, node: &str) {
        if self.elsewhere.forget(node) {
            self.presence.moved();
        }
    }

    /// Ends streams of a device that another one has replaced.
    pub(super) fn replace(&self, user_id: UserId, device_id: DeviceId, older: impl Fn(&Session) -> bool) {
        for session in self.sessions_of(user_id) {
            if session.opener().device_id == device_id && older(&session) {
                session.close(ClosingReason::Replaced, Duration::ZERO);
            }
        }
    }

    /// Ends the oldest streams of a person who has too many on all nodes.
    pub(super) fn end_oldest(&self, user_id: UserId) {
        let oldest = self.elsewhere.oldest(user_id, &self.streams_of(user_id), self.streams_per_person);
        for session in oldest.into_iter().filter_map(|id| self.session(id)) {
            session.close(ClosingReason::TooManyStreams, Duration::ZERO);
        }
    }
}
