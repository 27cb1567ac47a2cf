-- The issuer ended one of the person's sessions, and may have ended others without a word: tokens issued until then must be
-- renewed, which the issuer refuses for a session that has ended.
alter table token_floors add column fresh_from timestamptz;
