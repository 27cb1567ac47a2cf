//! Unread mentions: a list of positions beside the rows, because a room that nobody looks at has no rows to count in.

use madang_proto::v1::Message;

/// Most mentions a server names; clients show 99+ then, and the list is a beginning, not the whole.
pub(crate) const MENTIONS: usize = 100;

/// Where a list comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A summary that is at least as new as what is held: it replaces.
    Newest,
    /// A membership, which says nothing about how new its list is beside the room's events.
    Person,
    /// A verdict older than what is held: it says nothing.
    Older,
}

/// Updates the list by one message: in, if it mentions the person unread, else out.
pub(crate) fn by_message(list: &mut Vec<i64>, message: &Message, me: &str, last_read_seq: i64) {
    let mentions = message.mentions_all || message.mentioned_user_ids.iter().any(|id| id == me);
    let counts = mentions && message.sender_id != me && message.tombstone.is_none() && message.seq > last_read_seq;
    match list.binary_search(&message.seq) {
        Ok(at) if !counts => {
            list.remove(at);
        }
        Err(at) if counts && list.len() < MENTIONS => list.insert(at, message.seq),
        _ => {}
    }
}

/// Merges a list that came with a membership. A list that was cut, or one under a new generation (older messages are
/// unread again), takes both; otherwise the events have told what the list says.
pub(crate) fn by_list(list: &mut Vec<i64>, other: &[i64], place: Place, new_generation: bool) {
    let both = place == Place::Person && (new_generation || list.len() >= MENTIONS || other.len() >= MENTIONS);
    if place == Place::Newest {
        list.clear();
    }
    if place == Place::Newest || both {
        list.extend_from_slice(other);
        list.sort_unstable();
        list.dedup();
        list.truncate(MENTIONS);
    }
}

#[cfg(test)]
mod tests {
    use madang_proto::v1::Tombstone;

    use super::*;

    fn mention(seq: i64) -> Message {
        Message { seq, sender_id: "bob".into(), mentioned_user_ids: vec!["ann".into()], ..Default::default() }
    }

    #[test]
    fn an_edit_that_takes_the_name_out_and_a_deletion_end_a_mention() {
        let mut list = Vec::new();
        by_message(&mut list, &mention(4), "ann", 2);
        by_message(&mut list, &mention(3), "ann", 2);
        by_message(&mut list, &mention(3), "ann", 2);
        assert_eq!(list, [3, 4]);
        by_message(&mut list, &Message { mentioned_user_ids: vec![], ..mention(3) }, "ann", 2);
        by_message(&mut list, &Message { tombstone: Some(Tombstone::default()), ..mention(4) }, "ann", 2);
        assert!(list.is_empty());
    }

    #[test]
    fn ones_own_message_and_a_read_one_are_no_mention() {
        let mut list = Vec::new();
        by_message(&mut list, &mention(4), "bob", 0);
        by_message(&mut list, &mention(4), "ann", 4);
        assert!(list.is_empty());
        by_message(&mut list, &Message { mentions_all: true, mentioned_user_ids: vec![], ..mention(5) }, "ann", 4);
        assert_eq!(list, [5]);
    }

    #[test]
    fn a_summary_replaces_and_an_older_one_says_nothing() {
        let mut list = vec![1, 2];
        by_list(&mut list, &[9], Place::Older, false);
        by_list(&mut list, &[9], Place::Person, false);
        assert_eq!(list, [1, 2]);
        by_list(&mut list, &[0, 1], Place::Person, true);
        assert_eq!(list, [0, 1, 2]);
        by_list(&mut list, &[9], Place::Newest, false);
        assert_eq!(list, [9]);
    }
}
