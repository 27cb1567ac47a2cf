//! Who is here, on this node or another, and which of a person's streams may stay.

use std::time::Duration;

use super::{Hub, locked};
use crate::{
    ids::UserId,
    realtime::{ClosingReason, Focus, Known, Session, bus::Streams},
};

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
            let people = session.focus().people().map(|user_id| (user_id, self.is_here(user_id))).collect();
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
            people.extend(session.focus().people());
        }
        people
    }

    /// The streams of a person on this node, as other nodes are told of them.
    pub(in crate::realtime) fn streams_of(&self, user_id: UserId) -> Streams {
        let streams = self.sessions_of(user_id);
        streams.iter().map(|session| (session.id(), session.opener().device_id)).collect()
    }

    /// Takes what another node says of a person's streams there.
    pub(in crate::realtime) fn take_elsewhere(&self, node: &str, user_id: UserId, streams: Streams) {
        if self.elsewhere.take(node, user_id, streams) {
            self.presence.moved();
        }
        self.end_surplus(user_id);
    }

    /// Ends the streams of a person that newer ones have replaced, or that are the oldest of too many.
    pub(super) fn end_surplus(&self, user_id: UserId) {
        let surplus = self.elsewhere.surplus(user_id, &self.streams_of(user_id), self.streams_per_person);
        for (ids, reason) in
            [(surplus.replaced, ClosingReason::Replaced), (surplus.oldest, ClosingReason::TooManyStreams)]
        {
            for session in ids.into_iter().filter_map(|id| self.session(id)) {
                session.close(reason, Duration::ZERO);
            }
        }
    }
}
