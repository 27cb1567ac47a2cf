//! Types of the contract whose enumerations are numbers on the wire: here they are what they are. Each is taken apart without
//! a rest, so that a field of the contract that is forgotten does not compile.

use madang_sdk_core::v1::{
    self, CustomStatus, MemberRole, MemberState, ServerInfo, ServerLimits, UserState, UserStatus, WhoMay,
};
use prost_types::Timestamp;

/// A person's public profile. Fields that a privacy setting hides are empty.
#[derive(Debug, Clone, uniffi::Record)]
pub struct User {
    /// Our id of the person; never the issuer's subject.
    pub id: String,
    /// Name at sign-in, from the issuer.
    pub login: String,
    /// Shown name; 1 to 60 characters.
    pub display_name: String,
    /// Job title; at most 80 characters.
    pub title: String,
    /// File of the photo; empty: none.
    pub photo_file_id: String,
    /// What the person says about being reachable.
    pub status: UserStatus,
    /// A status in the person's own words.
    pub custom_status: Option<CustomStatus>,
    /// Phone number.
    pub phone: String,
    /// E-mail address.
    pub email: String,
    /// A few lines about the person; at most 500 characters.
    pub bio: String,
    /// Organisation units the person belongs to.
    pub unit_ids: Vec<String>,
    /// Number in the company.
    pub employee_no: String,
    /// File of the background image; empty: none.
    pub background_file_id: String,
    /// Code by which others may ask for friendship; only in one's own profile.
    pub user_code: String,
    /// Whether the account may be used.
    pub state: UserState,
    /// Number of the last change of this profile; profiles merge by it.
    pub profile_rev: i64,
}

impl From<v1::User> for User {
    fn from(row: v1::User) -> Self {
        let v1::User {
            id,
            login,
            display_name,
            title,
            photo_file_id,
            status,
            custom_status,
            phone,
            email,
            bio,
            unit_ids,
            employee_no,
            background_file_id,
            user_code,
            state,
            profile_rev,
        } = row;
        Self {
            id,
            login,
            display_name,
            title,
            photo_file_id,
            status: UserStatus::try_from(status).unwrap_or_default(),
            custom_status,
            phone,
            email,
            bio,
            unit_ids,
            employee_no,
            background_file_id,
            user_code,
            state: UserState::try_from(state).unwrap_or_default(),
            profile_rev,
        }
    }
}

impl From<User> for v1::User {
    fn from(row: User) -> Self {
        let User {
            id,
            login,
            display_name,
            title,
            photo_file_id,
            status,
            custom_status,
            phone,
            email,
            bio,
            unit_ids,
            employee_no,
            background_file_id,
            user_code,
            state,
            profile_rev,
        } = row;
        Self {
            id,
            login,
            display_name,
            title,
            photo_file_id,
            status: status.into(),
            custom_status,
            phone,
            email,
            bio,
            unit_ids,
            employee_no,
            background_file_id,
            user_code,
            state: state.into(),
            profile_rev,
        }
    }
}

/// One person's place in a room, as the others see it. Rows stay when people go.
#[derive(Debug, Clone, uniffi::Record)]
pub struct Member {
    /// The room.
    pub room_id: String,
    /// The person.
    pub user_id: String,
    /// In or out, and how.
    pub state: MemberState,
    /// Rights in the room.
    pub role: MemberRole,
    /// Name in this room alone; at most 30 characters.
    pub nickname: String,
    /// Beginning of the present (or last) stay.
    pub joined_at: Option<Timestamp>,
    /// End of the last stay; absent while in.
    pub left_at: Option<Timestamp>,
    /// First item that the person may see.
    pub history_from_seq: i64,
    /// Revision of the room at which this row last changed.
    pub rev: i64,
}

impl From<v1::Member> for Member {
    fn from(row: v1::Member) -> Self {
        let v1::Member { room_id, user_id, state, role, nickname, joined_at, left_at, history_from_seq, rev } = row;
        Self {
            room_id,
            user_id,
            state: MemberState::try_from(state).unwrap_or_default(),
            role: MemberRole::try_from(role).unwrap_or_default(),
            nickname,
            joined_at,
            left_at,
            history_from_seq,
            rev,
        }
    }
}

impl From<Member> for v1::Member {
    fn from(row: Member) -> Self {
        let Member { room_id, user_id, state, role, nickname, joined_at, left_at, history_from_seq, rev } = row;
        Self {
            room_id,
            user_id,
            state: state.into(),
            role: role.into(),
            nickname,
            joined_at,
            left_at,
            history_from_seq,
            rev,
        }
    }
}

/// The rules of a room.
#[derive(Debug, Clone, uniffi::Record)]
pub struct RoomSettings {
    /// Who may post. Unspecified in a request: everyone.
    pub who_may_post: WhoMay,
    /// Who may invite. Unspecified in a request: everyone.
    pub who_may_invite: WhoMay,
    /// Who may pin. Unspecified in a request: admins.
    pub who_may_pin: WhoMay,
    /// Newcomers do not see what was written before they joined.
    #[uniffi(default = false)]
    pub history_hidden_from_newcomers: bool,
    /// Days that messages are kept; 0: for good.
    #[uniffi(default = 0)]
    pub retention_days: i32,
    /// Most members; 0: the server's limit for the kind.
    #[uniffi(default = 0)]
    pub member_limit: i32,
    /// Invited people decide before they are members.
    #[uniffi(default = false)]
    pub invitation_needs_consent: bool,
    /// Most pins; 0: the server's default of 3.
    #[uniffi(default = 0)]
    pub pin_limit: i32,
    /// The time of each reading is stored, for rooms that one has a duty to read.
    #[uniffi(default = false)]
    pub stores_read_times: bool,
}

impl From<v1::RoomSettings> for RoomSettings {
    fn from(row: v1::RoomSettings) -> Self {
        let v1::RoomSettings {
            who_may_post,
            who_may_invite,
            who_may_pin,
            history_hidden_from_newcomers,
            retention_days,
            member_limit,
            invitation_needs_consent,
            pin_limit,
            stores_read_times,
        } = row;
        Self {
            who_may_post: WhoMay::try_from(who_may_post).unwrap_or_default(),
            who_may_invite: WhoMay::try_from(who_may_invite).unwrap_or_default(),
            who_may_pin: WhoMay::try_from(who_may_pin).unwrap_or_default(),
            history_hidden_from_newcomers,
            retention_days,
            member_limit,
            invitation_needs_consent,
            pin_limit,
            stores_read_times,
        }
    }
}

impl From<RoomSettings> for v1::RoomSettings {
    fn from(row: RoomSettings) -> Self {
        let RoomSettings {
            who_may_post,
            who_may_invite,
            who_may_pin,
            history_hidden_from_newcomers,
            retention_days,
            member_limit,
            invitation_needs_consent,
            pin_limit,
            stores_read_times,
        } = row;
        Self {
            who_may_post: who_may_post.into(),
            who_may_invite: who_may_invite.into(),
            who_may_pin: who_may_pin.into(),
            history_hidden_from_newcomers,
            retention_days,
            member_limit,
            invitation_needs_consent,
            pin_limit,
            stores_read_times,
        }
    }
}

/// What a client needs to know before it signs in; the server's address is enough to get it.
#[uniffi::remote(Record)]
pub struct ServerInfo {
    /// Version of the server, as in "0.1.0".
    pub version: String,
    /// Identity of the database's history; a client that holds another snapshots again.
    pub epoch: String,
    /// OIDC issuer; discovery is at ISSUER/.well-known/openid-configuration.
    pub issuer: String,
    /// OIDC client id for apps.
    pub client_id: String,
    /// Limits in force.
    pub limits: Option<ServerLimits>,
    /// Names of behaviour that a client must understand to use it.
    pub features: Vec<String>,
}

/// The limits in force on a server.
#[uniffi::remote(Record)]
pub struct ServerLimits {
    /// Most characters of a message's text.
    pub message_characters: i32,
    /// Most bytes of a message's text.
    pub message_bytes: i32,
    /// Most bytes of a gRPC message that the server takes.
    pub request_bytes: i32,
    /// Most members of a GROUP room.
    pub group_members: i32,
    /// Most members of an OPEN room.
    pub open_members: i32,
    /// Most rooms a person may be in.
    pub rooms_per_person: i32,
    /// Most cursors in a Hello.
    pub hello_cursors: i32,
    /// Rooms above this many members are large: see the sync page of the documentation.
    pub large_room_members: i32,
    /// Time between heartbeats of a stream.
    pub heartbeat: Option<prost_types::Duration>,
}

/// A status in the person's own words.
#[uniffi::remote(Record)]
pub struct CustomStatus {
    /// One emoji; at most 64 bytes, because families and flags are long.
    pub emoji: String,
    /// At most 100 characters.
    pub text: String,
    /// When it ends by itself; absent: never.
    #[uniffi(default = None)]
    pub until: Option<Timestamp>,
}
