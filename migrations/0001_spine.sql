-- The spine: people, device sessions, rooms, members, messages. Numbers (seq, count, rev, user_rev) are explained in
-- ARCHITECTURE.md. xids are kept as bigint, because drivers know no xid8.

-- Identity of this database's history; `madang restore-done` adds a row, so that clients take a new snapshot.
create table history (
    id uuid primary key,
    made_at timestamptz not null default now()
);
insert into history (id) values (gen_random_uuid());

create table users (
    id uuid primary key,
    issuer text not null,
    subject text not null,
    login text not null,
    -- Login and display name in NFC and lower case, for search by prefix.
    login_key text not null,
    name_key text not null,
    display_name text not null,
    -- Claims as last seen, so that a name chosen here is not overwritten by an unchanged claim.
    claimed_name text not null,
    email text not null default '',
    employee_no text not null default '',
    title text not null default '',
    bio text not null default '',
    phone text not null default '',
    status smallint not null default 0,
    custom_emoji text not null default '',
    custom_text text not null default '',
    custom_until timestamptz,
    -- ACTIVE 1, DISABLED 2, LOCKED 3, EXPIRED 4, DELETED 5
    state smallint not null default 1,
    locked_until timestamptz,
    expires_at timestamptz,
    profile_rev bigint not null default 1,
    profile_xid bigint not null default pg_current_xact_id()::text::bigint,
    created_at timestamptz not null default now(),
    constraint users_subject unique (issuer, subject)
);
create index users_login_key on users (login_key text_pattern_ops);
create index users_name_key on users (name_key text_pattern_ops);
create index users_profile_xid on users (profile_xid);

-- The person's number, apart from the profile: it moves with every mark.
create table user_cursors (
    user_id uuid primary key references users,
    user_rev bigint not null default 1
) with (fillfactor = 70);

create table device_sessions (
    user_id uuid not null references users,
    device_id uuid not null,
    sid text not null,
    platform text not null default '',
    app_version text not null default '',
    address text not null default '',
    user_agent text not null default '',
    created_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    revoked_at timestamptz,
    primary key (user_id, device_id)
);
create index device_sessions_sid on device_sessions (sid);

-- Sessions of the issuer whose tokens are refused on every device until they have expired by themselves.
create table revoked_sids (
    sid text primary key,
    user_id uuid not null references users,
    revoked_at timestamptz not null default now()
);

create table rooms (
    id uuid primary key,
    -- DM 1, GROUP 2, OPEN 3, ANONYMOUS 4
    kind smallint not null,
    -- ACTIVE 1, ARCHIVED 2, DELETED 3
    state smallint not null default 1,
    name text not null,
    topic text not null default '',
    notice_text text not null default '',
    notice_by uuid,
    notice_at timestamptz,
    -- EVERYONE 1, ADMINS 2
    who_may_post smallint not null default 1,
    who_may_invite smallint not null default 1,
    who_may_pin smallint not null default 2,
    history_hidden boolean not null default false,
    retention_days int not null default 0,
    member_limit int not null default 0,
    consent boolean not null default false,
    pin_limit int not null default 0,
    stores_read_times boolean not null default false,
    -- In a DM its two people, the smaller id first.
    direct_a uuid,
    direct_b uuid,
    created_by uuid not null,
    created_at timestamptz not null default now(),
    -- Hash of the request that made it, so that a repetition is known from a reuse of the id.
    payload_hash bytea not null,
    member_count int not null default 0,
    large boolean not null default false,
    seq bigint not null default 0,
    count bigint not null default 0,
    -- Newest countable item: whoever has read it has read everything.
    last_countable_seq bigint not null default 0,
    last_active_at timestamptz not null default now(),
    first_seq bigint not null default 1,
    first_count bigint not null default 0,
    rev bigint not null default 0,
    changed_xid bigint not null,
    constraint rooms_direct unique (direct_a, direct_b)
) with (fillfactor = 70);

create table members (
    room_id uuid not null references rooms,
    user_id uuid not null references users,
    -- JOINED 1, LEFT 2, REMOVED 3, BANNED 4, INVITED 5
    state smallint not null,
    -- MEMBER 1, ADMIN 2
    role smallint not null default 1,
    nickname text not null default '',
    joined_at timestamptz not null,
    left_at timestamptz,
    history_from_seq bigint not null default 1,
    rev bigint not null,
    user_rev bigint not null,
    last_read_seq bigint not null default 0,
    read_count bigint not null default 0,
    read_generation bigint not null default 0,
    mute_until timestamptz,
    pinned_order int not null default 0,
    favourite boolean not null default false,
    notification_level smallint not null default 0,
    draft text not null default '',
    folder text not null default '',
    -- What others were told of the marks, and when: columns of their own, because a mark locks no room.
    told_read bigint not null default 0,
    told_delivered bigint not null default 0,
    receipt_rev bigint not null default 0,
    primary key (room_id, user_id)
) with (fillfactor = 70);
create index members_user on members (user_id, room_id);
create index members_user_rev on members (user_id, user_rev);

-- Stays in rooms, ended ones: a rejoin updates the member row, the record of the earlier stay is here.
create table stays (
    room_id uuid not null references rooms,
    user_id uuid not null references users,
    joined_at timestamptz not null,
    left_at timestamptz not null,
    -- LEFT 2, REMOVED 3, BANNED 4
    ended_how smallint not null,
    primary key (room_id, user_id, joined_at)
);

create table messages (
    room_id uuid not null references rooms,
    seq bigint not null,
    rev bigint not null,
    count bigint not null,
    sender_id uuid not null,
    -- Null in system notices.
    client_message_id uuid,
    -- Hash of the content as first sent, which survives edits and deletion.
    payload_hash bytea,
    mark_generation bigint,
    created_at timestamptz not null,
    edited_at timestamptz,
    -- TEXT 1, NOTICE 2, SYSTEM 3, POLL 4, SURVEY 5
    kind smallint not null,
    text text not null default '',
    -- PLAIN 1, MARKDOWN 2, CARD 3
    format smallint not null default 1,
    -- What is rarer than text: entities, card, metadata, system notice, forward source; encoded as in the contract.
    extra bytea,
    mentioned uuid[],
    mentions_all boolean not null default false,
    reply_to_seq bigint not null default 0,
    deleted_by uuid,
    deleted_at timestamptz,
    -- Set by the first update: a send pays for no index on rev.
    changed boolean not null default false,
    primary key (room_id, seq),
    constraint messages_client_id unique (room_id, sender_id, client_message_id)
);
create index messages_changed on messages (room_id, rev) where changed;

-- Who is mentioned where; user null: everybody in the room.
create table mentions (
    room_id uuid not null,
    seq bigint not null,
    user_id uuid,
    constraint mentions_once unique nulls not distinct (room_id, user_id, seq)
);

-- Rooms changed, for other nodes and consumers; append-only, pruned.
create table room_changes (
    xid bigint not null,
    room_id uuid not null
);
create index room_changes_xid on room_changes (xid);

create table audit_events (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    actor_id uuid,
    action text not null,
    target text not null default '',
    address text not null default '',
    user_agent text not null default ''
);
