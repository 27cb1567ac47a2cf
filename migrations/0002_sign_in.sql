-- When the token was issued whose claims the profile holds: an older token that is still valid does not undo a newer name.
alter table users add column claimed_at timestamptz not null default 'epoch';
-- Global roles as last seen in a token (1 shifted by the role's number); a change is audited.
alter table users add column claimed_roles int not null default 0;

-- Tokens issued before are refused on this device, also after somebody signed in on it again.
alter table device_sessions add column tokens_from timestamptz;

-- Tokens issued before are refused on all devices of the person, known or not.
create table token_floors (
    user_id uuid primary key references users,
    tokens_from timestamptz not null
);
