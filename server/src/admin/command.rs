//! `madang explain` as it is typed at a terminal.

use madang_proto::v1;
use uuid::Uuid;

/// What is asked about, as it is typed.
#[derive(Debug, clap::Subcommand)]
pub enum Subject {
    /// A message by its place.
    Message {
        /// Room.
        room: String,
        /// Position in the room.
        seq: i64,
        /// For whom: login or id.
        #[arg(long = "for", value_name = "WHO")]
        whom: String,
    },
    /// A message by its id in the sender's client, whether it has arrived or not.
    Sent {
        /// Room.
        room: String,
        /// Who wrote it: id.
        sender: String,
        /// Its id.
        id: String,
        /// For whom: login or id.
        #[arg(long = "for", value_name = "WHO")]
        whom: String,
    },
    /// A room: a person's place and badge in it.
    Room {
        /// Room.
        room: String,
        /// For whom: login or id.
        #[arg(long = "for", value_name = "WHO")]
        whom: String,
    },
    /// A stream by its id.
    Session {
        /// Id, as Welcome and the log name it.
        id: String,
    },
}

impl Subject {
    /// The same as a call.
    pub fn request(self) -> v1::ExplainRequest {
        use v1::explain_request::{Person, Subject as Asked};
        let named = |whom: String| match Uuid::try_parse(&whom) {
            Ok(_) => Some(Person::UserId(whom)),
            Err(_) => Some(Person::Login(whom)),
        };
        let (subject, person) = match self {
            Self::Message { room, seq, whom } => (Asked::Item(v1::ItemPlace { room_id: room, seq }), named(whom)),
            Self::Sent { room, sender, id, whom } => {
                let sent = v1::SentMessage { room_id: room, sender_id: sender, client_message_id: id };
                (Asked::Sent(sent), named(whom))
            }
            Self::Room { room, whom } => (Asked::RoomId(room), named(whom)),
            Self::Session { id } => (Asked::SessionId(id), None),
        };
        v1::ExplainRequest { subject: Some(subject), person }
    }
}
