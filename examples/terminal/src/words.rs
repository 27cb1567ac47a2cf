//! The words of the client, in Korean and English.

use madang_sdk_core::{
    ChangeKind, ClientError, NoticeItem, Person, reason_sentence,
    v1::{ErrorReason, SystemKind},
};

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    /// English.
    English,
    /// Korean.
    Korean,
}

impl Language {
    /// Its name on the wire.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Korean => "ko",
        }
    }

    /// One of two texts.
    pub(crate) fn say<'a>(self, english: &'a str, korean: &'a str) -> &'a str {
        match self {
            Self::English => english,
            Self::Korean => korean,
        }
    }

    /// Something that happened, as a sentence.
    pub(crate) fn notice(self, notice: &NoticeItem) -> String {
        let (actor, people) = (self.person(&notice.actor), self.people(&notice.people));
        let name = notice.params.get("name").map_or("", String::as_str);
        match self {
            Self::English => english(notice, &actor, &people, name),
            Self::Korean => korean(notice, &actor, &people, name),
        }
    }

    /// A person's name.
    pub(crate) fn person(self, person: &Person) -> String {
        if person.name.is_empty() { self.say("somebody", "누군가").to_owned() } else { person.name.clone() }
    }

    fn people(self, people: &[Person]) -> String {
        let names: Vec<String> = match self {
            Self::English => people.iter().map(|person| self.person(person)).collect(),
            Self::Korean => people.iter().map(|person| format!("{}님", self.person(person))).collect(),
        };
        names.join(", ")
    }

    /// A failure, as the core words it, and what a developer is told.
    pub(crate) fn error(self, error: &ClientError) -> String {
        format!("{} ({error})", error.sentence(self.of_core()))
    }

    /// A refusal, as the core words it.
    pub(crate) fn reason(self, reason: ErrorReason) -> &'static str {
        reason_sentence(reason, self.of_core())
    }

    fn of_core(self) -> madang_sdk_core::Language {
        match self {
            Self::English => madang_sdk_core::Language::English,
            Self::Korean => madang_sdk_core::Language::Korean,
        }
    }

    /// What a change is, in a word.
    pub(crate) fn change(self, kind: ChangeKind) -> &'static str {
        let (english, korean) = match kind {
            ChangeKind::Send => ("message", "메시지"),
            ChangeKind::Edit => ("edit", "수정"),
            ChangeKind::Delete => ("deletion", "삭제"),
            ChangeKind::CreateRoom => ("new room", "새 방"),
            ChangeKind::Join => ("joining", "입장"),
            ChangeKind::Leave => ("leaving", "나가기"),
            ChangeKind::Invite => ("invitation", "초대"),
            ChangeKind::Remove => ("removal", "내보내기"),
            ChangeKind::Profile | ChangeKind::Status => ("profile", "프로필"),
        };
        self.say(english, korean)
    }
}

fn english(notice: &NoticeItem, actor: &str, people: &str, name: &str) -> String {
    match notice.kind {
        SystemKind::Created if people.is_empty() => format!("{actor} created the room"),
        SystemKind::Created => format!("{actor} created the room with {people}"),
        SystemKind::Invited => format!("{actor} invited {people}"),
        SystemKind::Joined => format!("{actor} joined"),
        SystemKind::Left => format!("{actor} left"),
        SystemKind::Removed => format!("{actor} removed {people}"),
        SystemKind::Banned => format!("{actor} banned {people}"),
        SystemKind::Role => format!("{actor} changed the role of {people}"),
        SystemKind::Renamed => format!("{actor} renamed the room to {name}"),
        SystemKind::Notice => format!("{actor} changed the notice"),
        SystemKind::Pinned => format!("{actor} pinned a message"),
        SystemKind::Settings => format!("{actor} changed the settings"),
        SystemKind::Unspecified => "something happened that this version does not know".into(),
    }
}

fn korean(notice: &NoticeItem, actor: &str, people: &str, name: &str) -> String {
    match notice.kind {
        SystemKind::Created if people.is_empty() => format!("{actor}님이 방을 만들었습니다"),
        SystemKind::Created => format!("{actor}님이 {people}과 함께 방을 만들었습니다"),
        SystemKind::Invited => format!("{actor}님이 {people}을 초대했습니다"),
        SystemKind::Joined => format!("{actor}님이 들어왔습니다"),
        SystemKind::Left => format!("{actor}님이 나갔습니다"),
        SystemKind::Removed => format!("{actor}님이 {people}을 내보냈습니다"),
        SystemKind::Banned => format!("{actor}님이 {people}의 출입을 막았습니다"),
        SystemKind::Role => format!("{actor}님이 {people}의 역할을 바꾸었습니다"),
        SystemKind::Renamed => format!("{actor}님이 방 이름을 {name}{} 바꾸었습니다", particle(name, Particle::To)),
        SystemKind::Notice => format!("{actor}님이 공지를 바꾸었습니다"),
        SystemKind::Pinned => format!("{actor}님이 메시지를 고정했습니다"),
        SystemKind::Settings => format!("{actor}님이 설정을 바꾸었습니다"),
        SystemKind::Unspecified => "이 버전이 모르는 일이 있었습니다".into(),
    }
}

/// A particle whose form depends on how the word before it ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Particle {
    /// 이/가
    Subject,
    /// 을/를
    Object,
    /// 으로/로
    To,
}

/// The form that fits a word. Latin letters and digits are taken as they are read in Korean.
pub(crate) fn particle(word: &str, particle: Particle) -> &'static str {
    let (closed, rieul) = word.chars().rfind(|c| c.is_alphanumeric()).map_or((false, false), ending);
    match particle {
        Particle::Subject if closed => "이",
        Particle::Subject => "가",
        Particle::Object if closed => "을",
        Particle::Object => "를",
        Particle::To if closed && !rieul => "으로",
        Particle::To => "로",
    }
}

/// Whether a character ends in a consonant, and whether that is ㄹ.
fn ending(last: char) -> (bool, bool) {
    match last {
        '가'..='힣' => {
            let final_consonant = (last as u32 - '가' as u32) % 28;
            (final_consonant != 0, final_consonant == 8)
        }
        '1' | '7' | '8' | 'l' | 'L' | 'r' | 'R' => (true, true),
        '0' | '3' | '6' | 'm' | 'M' | 'n' | 'N' | 'b' | 'c' | 'k' | 'p' | 't' | 'B' | 'C' | 'K' | 'P' | 'T' => {
            (true, false)
        }
        _ => (false, false),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::SystemTime};

    use super::*;

    fn person(name: &str) -> Person {
        Person { id: name.into(), name: name.into() }
    }

    fn notice(kind: SystemKind, people: &[&str]) -> NoticeItem {
        NoticeItem {
            seq: 1,
            created_at: SystemTime::UNIX_EPOCH,
            kind,
            actor: person("B"),
            people: people.iter().map(|name| person(name)).collect(),
            params: BTreeMap::from([("name".into(), "점심".into())]),
        }
    }

    #[test]
    fn notices_are_sentences_in_both_languages() {
        let both = |notice: &NoticeItem| (Language::English.notice(notice), Language::Korean.notice(notice));
        assert_eq!(both(&notice(SystemKind::Left, &[])), ("B left".into(), "B님이 나갔습니다".into()));
        let invited = both(&notice(SystemKind::Invited, &["C", "D"]));
        assert_eq!(invited, ("B invited C, D".into(), "B님이 C님, D님을 초대했습니다".into()));
        assert_eq!(both(&notice(SystemKind::Renamed, &[])).1, "B님이 방 이름을 점심으로 바꾸었습니다");
    }

    #[test]
    fn particles_fit_the_word_before_them() {
        let all = |word| [Particle::Subject, Particle::Object, Particle::To].map(|p| particle(word, p));
        assert_eq!(all("회의"), ["가", "를", "로"]);
        assert_eq!(all("점심"), ["이", "을", "으로"]);
        assert_eq!(all("서울"), ["이", "을", "로"]);
        assert_eq!(all("team 3!"), ["이", "을", "으로"]);
    }
}
