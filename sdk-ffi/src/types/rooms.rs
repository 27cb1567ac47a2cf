//! Rooms and people, as lists show them and as they are made.

use std::{ops::Range, time::SystemTime};

use madang_sdk_core::{
    Draft, ListChange, NewRoom, Person, ProfileChange, RoomFilter, RoomItem, RoomMember, RoomQuery, RoomSort,
    TimelineItem,
    v1::{Member, MemberRole, MemberState, RoomKind, RoomSettings, User, UserState, UserStatus, WhoMay},
};

/// A change of a room list.
pub type RoomChange = ListChange<RoomItem>;
/// A change of a member list.
pub type MemberChange = ListChange<RoomMember>;
/// Places of a list.
pub type Places = Range<usize>;

/// A person as a screen names them.
#[uniffi::remote(Record)]
pub struct Person {
    /// The person.
    pub id: String,
    /// Shown name, else the login; empty while it is not known.
    pub name: String,
}

/// A room as the list shows it.
#[uniffi::remote(Record)]
pub struct RoomItem {
    /// The room.
    pub id: String,
    /// What kind of room.
    pub kind: RoomKind,
    /// Its name; in a direct room that of the other person.
    pub name: String,
    /// Unread items.
    pub unread: i64,
    /// Unread messages that mention the person; 100 is shown as 99+.
    pub mentions: usize,
    /// The newest item, cut after 200 characters.
    pub last_message: Option<TimelineItem>,
    /// Muted now.
    pub muted: bool,
    /// People in it.
    pub member_count: i32,
    /// What the person began to write.
    pub draft: String,
    /// Time of the newest countable message, else of the creation.
    pub last_active_at: SystemTime,
}

/// Which rooms a list shows. By default all that the person is in.
#[uniffi::remote(Record)]
pub struct RoomFilter {
    /// Only rooms with unread items.
    #[uniffi(default = false)]
    pub unread: bool,
    /// Only rooms with unread messages that mention the person.
    #[uniffi(default = false)]
    pub mentions: bool,
    /// Only rooms of these kinds; empty: of all.
    #[uniffi(default = [])]
    pub kinds: Vec<RoomKind>,
    /// Only rooms whose shown name has this in it, in capitals or not; an initial consonant stands for any syllable that
    /// begins with it, as ㅎㄱㄷ for 홍길동. Empty: all.
    #[uniffi(default = "")]
    pub text: String,
}

/// In which order a list shows rooms.
#[uniffi::remote(Enum)]
pub enum RoomSort {
    /// The most recently active first.
    Recent,
    /// By the shown name.
    Name,
    /// Those with unread items first, each part by the most recently active.
    UnreadFirst,
}

/// Which part of which rooms a list shows.
#[uniffi::remote(Record)]
pub struct RoomQuery {
    /// Which rooms.
    pub filter: RoomFilter,
    /// In which order.
    pub sort: RoomSort,
    /// Which places of that are shown; absent: all.
    #[uniffi(default = None)]
    pub range: Option<Places>,
}

/// Places of a list, from the first on.
#[uniffi::remote(Record)]
pub struct Places {
    /// The first.
    start: usize,
    /// The one after the last.
    end: usize,
}

/// A change of an observed list. Places are those of the list at that moment: apply one after the other.
#[uniffi::remote(Enum)]
pub enum RoomChange {
    /// New items at the end, in their order.
    Appended {
        /// The items.
        items: Vec<RoomItem>,
    },
    /// A new item, now at this place.
    Inserted {
        /// Place in the list.
        index: usize,
        /// The item.
        item: RoomItem,
    },
    /// An item is another now, at this place; it did not move.
    Changed {
        /// Place in the list.
        index: usize,
        /// The item.
        item: RoomItem,
    },
    /// An item has another place, and may be another in itself.
    Moved {
        /// Place in the list before.
        from: usize,
        /// Place in the list without it.
        to: usize,
        /// The item.
        item: RoomItem,
    },
    /// The item at this place is gone.
    Removed {
        /// Place in the list before.
        index: usize,
    },
    /// Everything from a place on is gone.
    Truncated {
        /// Items that stay.
        len: usize,
    },
    /// The list is another: too much changed to be told singly.
    Reset {
        /// The whole list.
        items: Vec<RoomItem>,
    },
}

/// A room to be made.
#[uniffi::remote(Record)]
pub struct NewRoom {
    /// Its name.
    pub name: String,
    /// Anyone may join, instead of by invitation.
    #[uniffi(default = false)]
    pub open: bool,
    /// People besides the person, by id.
    #[uniffi(default = [])]
    pub members: Vec<String>,
    /// What it is about.
    #[uniffi(default = "")]
    pub topic: String,
    /// Rules; else the defaults.
    #[uniffi(default = None)]
    pub settings: Option<RoomSettings>,
}

/// A member as a screen lists them.
#[uniffi::remote(Record)]
pub struct RoomMember {
    /// The profile; only the id is set while it is not known.
    pub user: User,
    /// The place in the room.
    pub member: Member,
}

/// A change of an observed list. Places are those of the list at that moment: apply one after the other.
#[uniffi::remote(Enum)]
pub enum MemberChange {
    /// New items at the end, in their order.
    Appended {
        /// The items.
        items: Vec<RoomMember>,
    },
    /// A new item, now at this place.
    Inserted {
        /// Place in the list.
        index: usize,
        /// The item.
        item: RoomMember,
    },
    /// An item is another now, at this place; it did not move.
    Changed {
        /// Place in the list.
        index: usize,
        /// The item.
        item: RoomMember,
    },
    /// An item has another place, and may be another in itself.
    Moved {
        /// Place in the list before.
        from: usize,
        /// Place in the list without it.
        to: usize,
        /// The item.
        item: RoomMember,
    },
    /// The item at this place is gone.
    Removed {
        /// Place in the list before.
        index: usize,
    },
    /// Everything from a place on is gone.
    Truncated {
        /// Items that stay.
        len: usize,
    },
    /// The list is another: too much changed to be told singly.
    Reset {
        /// The whole list.
        items: Vec<RoomMember>,
    },
}

/// What a profile is to say; what is absent stays.
#[uniffi::remote(Record)]
pub struct ProfileChange {
    /// Shown name; cannot be cleared.
    #[uniffi(default = None)]
    pub display_name: Option<String>,
    /// Title.
    #[uniffi(default = None)]
    pub title: Option<String>,
    /// About the person.
    #[uniffi(default = None)]
    pub bio: Option<String>,
    /// Telephone.
    #[uniffi(default = None)]
    pub phone: Option<String>,
}

/// A message to be sent.
#[uniffi::remote(Record)]
pub struct Draft {
    /// What it says.
    pub text: String,
    /// People mentioned, by id.
    #[uniffi(default = [])]
    pub mentions: Vec<String>,
    /// Mentions everybody in the room.
    #[uniffi(default = false)]
    pub mention_all: bool,
    /// The item it answers; 0: none.
    #[uniffi(default = 0)]
    pub reply_to: i64,
}

/// RoomKind is what a room is for.
#[uniffi::remote(Enum)]
pub enum RoomKind {
    /// Never sent.
    Unspecified,
    /// Two people; one room a pair.
    Dm,
    /// By invitation.
    Group,
    /// Anyone may join.
    Open,
    /// People without accounts, under made-up names.
    Anonymous,
}

/// MemberRole is a right inside a room.
#[uniffi::remote(Enum)]
pub enum MemberRole {
    /// Never sent.
    Unspecified,
    /// Ordinary member.
    Member,
    /// Administers the room.
    Admin,
}

/// MemberState says whether a person is in a room.
#[uniffi::remote(Enum)]
pub enum MemberState {
    /// Never sent.
    Unspecified,
    /// In.
    Joined,
    /// Left by themselves; may come back.
    Left,
    /// Removed; may be invited again.
    Removed,
    /// Removed for good.
    Banned,
    /// Asked to join, where the room's settings want consent.
    Invited,
}

/// UserStatus is what a person says about being reachable.
#[uniffi::remote(Enum)]
pub enum UserStatus {
    /// Not said.
    Unspecified,
    /// Reachable.
    Online,
    /// Away for a while.
    Away,
    /// Not to be disturbed.
    Busy,
    /// Wants to be seen as offline.
    Offline,
}

/// UserState says whether an account may be used.
#[uniffi::remote(Enum)]
pub enum UserState {
    /// Never sent.
    Unspecified,
    /// May be used.
    Active,
    /// Disabled by an admin.
    Disabled,
    /// Locked until a time.
    Locked,
    /// Past its last day.
    Expired,
    /// Withdrawn or deleted: shown as a former user.
    Deleted,
}

/// WhoMay is a group of a room's members.
#[uniffi::remote(Enum)]
pub enum WhoMay {
    /// The default of the setting.
    Unspecified,
    /// All members.
    Everyone,
    /// Room admins.
    Admins,
}
