//! What went wrong, in a sentence for people, in Korean and English. Which reason has which words is decided by matches
//! without a rest, so that a reason without words does not compile.

use madang_proto::v1::ErrorReason;

use crate::error::{ClientError, ClientErrorKind, LocalReason};

/// A language that the core speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// English.
    English,
    /// Korean.
    Korean,
}

impl Language {
    /// Its name on the wire.
    pub const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Korean => "ko",
        }
    }

    /// The language of a tag such as `ko-KR`; English where the core does not speak it.
    pub fn of_tag(tag: &str) -> Self {
        let language = tag.split(['-', '_', '.']).next().unwrap_or_default();
        if language.eq_ignore_ascii_case("ko") { Self::Korean } else { Self::English }
    }

    const fn of(self, (english, korean): (&'static str, &'static str)) -> &'static str {
        match self {
            Self::English => english,
            Self::Korean => korean,
        }
    }
}

impl ClientError {
    /// The failure as a sentence for people, without names and numbers.
    pub fn sentence(&self, language: Language) -> &'static str {
        match (self.local, self.reason.filter(|reason| *reason != ErrorReason::Unspecified)) {
            (Some(local), _) => local.sentence(language),
            (None, Some(reason)) => reason_sentence(reason, language),
            (None, None) => self.kind.sentence(language),
        }
    }
}

impl ClientErrorKind {
    /// The kind of failure as a sentence for people.
    pub const fn sentence(self, language: Language) -> &'static str {
        language.of(match self {
            Self::Offline => ("The server cannot be reached.", "서버에 연결할 수 없습니다."),
            Self::Unauthenticated => ("Please sign in.", "로그인이 필요합니다."),
            Self::PermissionDenied => ("You may not do that.", "권한이 없습니다."),
            Self::NotFound => ("It is not there.", "찾을 수 없습니다."),
            Self::Conflict => ("That is not possible now.", "지금은 할 수 없습니다."),
            Self::RateLimited => ("Too much at once. Wait a moment.", "한꺼번에 너무 많습니다. 잠시 기다려 주세요."),
            Self::Invalid => ("That was not accepted.", "받아들여지지 않았습니다."),
            Self::Storage => ("The data on this device cannot be used.", "이 기기의 저장소에 문제가 있습니다."),
            Self::Cancelled => ("It was given up.", "취소되었습니다."),
            Self::Internal => ("Something went wrong.", "문제가 생겼습니다."),
        })
    }
}

impl LocalReason {
    /// The reason as a sentence for people.
    pub const fn sentence(self, language: Language) -> &'static str {
        language.of(match self {
            Self::StoreBusy => {
                ("The app is already open elsewhere on this device.", "앱이 이 기기에서 이미 열려 있습니다.")
            }
            Self::StoreNewer => (
                "The data is of a newer version. Update the app.",
                "더 새로운 버전의 데이터입니다. 앱을 업데이트해 주세요.",
            ),
            Self::StoreOfAnother => ("The data belongs to another account.", "다른 계정의 데이터입니다."),
            Self::DiskFull => ("There is no room on this device.", "기기의 저장 공간이 부족합니다."),
            Self::DiskReadOnly => ("Nothing can be written on this device.", "기기에 저장할 수 없습니다."),
            Self::StorePathInvalid => ("The folder for the data is not there.", "데이터를 둘 폴더가 없습니다."),
            Self::StoreDamaged => ("The data on this device is damaged.", "이 기기의 데이터가 손상되었습니다."),
            Self::StoreKeyWrong => ("The data has another key.", "데이터의 암호 키가 다릅니다."),
            Self::StoreKeyMissing => ("The data is locked with a key.", "데이터를 열려면 암호 키가 필요합니다."),
            Self::StoreNotEncrypted => ("The data is not locked with a key.", "데이터가 암호화되어 있지 않습니다."),
            Self::Suspended => ("The app is asleep.", "앱이 쉬는 중입니다."),
            Self::TokenTimeout => ("The sign-in service does not answer.", "로그인 서비스가 응답하지 않습니다."),
            Self::TokenInvalid => ("The sign-in is not usable.", "로그인 정보를 사용할 수 없습니다."),
            Self::AddressInvalid => ("The address is not valid.", "주소가 올바르지 않습니다."),
            Self::RootsInvalid => ("The added certificates cannot be read.", "추가한 인증서를 읽을 수 없습니다."),
            Self::CaptivePortal => {
                ("This network wants you to sign in to it first.", "먼저 이 네트워크에 로그인해야 합니다.")
            }
            Self::NotMadang => ("There is no Madang server at this address.", "이 주소에는 마당 서버가 없습니다."),
            Self::ClockWrong => {
                ("The clock is wrong. Check date and time.", "시계가 맞지 않습니다. 날짜와 시간을 확인해 주세요.")
            }
            Self::CertificateExpired => ("The server's certificate has expired.", "서버의 인증서가 만료되었습니다."),
            Self::CertificateUntrusted => {
                ("The server's certificate is not trusted.", "서버의 인증서를 믿을 수 없습니다.")
            }
            Self::CertificateName => {
                ("The server's certificate is for another address.", "서버의 인증서가 다른 주소의 것입니다.")
            }
            Self::NameNotFound => ("The server's name cannot be found.", "서버의 이름을 찾을 수 없습니다."),
            Self::Refused => ("The server is not running.", "서버가 실행되고 있지 않습니다."),
            Self::Unreachable => {
                ("There is no way to the server.", "서버까지 갈 수 없습니다. 네트워크를 확인해 주세요.")
            }
            Self::ProxyFailed => ("The proxy does not let the app through.", "프록시가 연결을 받아 주지 않습니다."),
        })
    }
}

/// A refusal of the server as a sentence for people.
pub const fn reason_sentence(reason: ErrorReason, language: Language) -> &'static str {
    language.of(match reason {
        ErrorReason::Unspecified => ("That was refused.", "거절되었습니다."),
        ErrorReason::InvalidField => {
            ("Something was entered that is not accepted.", "입력한 내용이 올바르지 않습니다.")
        }
        ErrorReason::MalformedRequest => {
            ("The server does not understand the app.", "서버가 앱의 요청을 이해하지 못합니다.")
        }
        ErrorReason::RequestTooLarge => ("That is too large.", "너무 큽니다."),
        ErrorReason::MethodUnknown => ("The server does not know how to do that.", "서버가 지원하지 않는 기능입니다."),
        ErrorReason::PageTokenInvalid => {
            ("The list has changed. Open it again.", "목록이 바뀌었습니다. 다시 열어 주세요.")
        }
        ErrorReason::CursorInvalid => ("The room has to be loaded again.", "방을 다시 불러와야 합니다."),
        ErrorReason::DeviceIdMissing => ("The app does not name its device.", "기기를 알 수 없는 요청입니다."),
        ErrorReason::IdFromFuture => ("The clock of this device is ahead.", "기기의 시계가 앞서 있습니다."),
        ErrorReason::TokenMissing => ("Please sign in.", "로그인이 필요합니다."),
        ErrorReason::TokenInvalid => {
            ("The sign-in was not accepted. Sign in again.", "로그인을 확인할 수 없습니다. 다시 로그인해 주세요.")
        }
        ErrorReason::TokenExpired => ("The sign-in has expired.", "로그인이 만료되었습니다."),
        ErrorReason::SessionRevoked => ("This device was signed out.", "이 기기는 로그아웃되었습니다."),
        ErrorReason::IssuerUnavailable => {
            ("The sign-in service cannot be reached.", "로그인 서비스에 연결할 수 없습니다.")
        }
        ErrorReason::AccountDisabled => ("The account is disabled.", "사용이 중지된 계정입니다."),
        ErrorReason::AccountLocked => ("The account is locked for now.", "잠시 잠긴 계정입니다."),
        ErrorReason::AccountExpired => ("The account has expired.", "기간이 끝난 계정입니다."),
        ErrorReason::RoleMissing => ("Your account may not do that.", "이 계정에는 그럴 권한이 없습니다."),
        ErrorReason::TooManyDevices => (
            "You are signed in on too many devices. Sign one out.",
            "로그인한 기기가 너무 많습니다. 하나를 로그아웃해 주세요.",
        ),
        ErrorReason::EpochChanged => {
            ("The server was restored; it is loaded again.", "서버가 복구되어 다시 불러옵니다.")
        }
        ErrorReason::SessionElsewhere => ("The connection is made again.", "다시 연결합니다."),
        ErrorReason::RoomNotFound => ("There is no such room.", "그런 방이 없습니다."),
        ErrorReason::RoomEnded => ("The room has ended.", "끝난 방입니다."),
        ErrorReason::RoomPermissionMissing => ("You may not do that in this room.", "이 방에서 그럴 권한이 없습니다."),
        ErrorReason::RoomFull => ("The room is full.", "방이 가득 찼습니다."),
        ErrorReason::TooManyRooms => ("One person cannot be in more rooms.", "더 많은 방에 들어갈 수 없습니다."),
        ErrorReason::RoomKindRefuses => ("This kind of room does not do that.", "이 종류의 방에서는 할 수 없습니다."),
        ErrorReason::LastAdmin => {
            ("You are the last admin; hand over before you leave.", "마지막 관리자는 넘겨준 뒤에 나갈 수 있습니다.")
        }
        ErrorReason::MemberNotFound => ("They are not in this room.", "이 방의 구성원이 아닙니다."),
        ErrorReason::MemberBanned => ("They are banned from this room.", "이 방에 들어올 수 없는 사람입니다."),
        ErrorReason::MessageNotFound => ("There is no such message.", "그런 메시지가 없습니다."),
        ErrorReason::MessageDeleted => ("The message was deleted.", "삭제된 메시지입니다."),
        ErrorReason::NotTheSender => ("Only its sender may change a message.", "보낸 사람만 고칠 수 있습니다."),
        ErrorReason::MessageNotEditable => ("Notices cannot be changed.", "알림은 고칠 수 없습니다."),
        ErrorReason::IdReused => {
            ("Something else was already made in its place.", "이미 다른 내용으로 만들어졌습니다.")
        }
        ErrorReason::UserNotFound => ("There is no such person.", "그런 사람이 없습니다."),
        ErrorReason::DeviceSessionNotFound => ("There is no such device.", "그런 기기가 없습니다."),
        ErrorReason::RateLimited => ("Too fast. Wait a moment.", "너무 빠릅니다. 잠시 기다려 주세요."),
        ErrorReason::TooManyCalls => {
            ("Too much at once. Wait a moment.", "한꺼번에 너무 많습니다. 잠시 기다려 주세요.")
        }
        ErrorReason::QueueFull => ("The server is busy. It is tried again.", "서버가 바쁩니다. 다시 시도합니다."),
        ErrorReason::DeadlinePassed => ("The server took too long.", "서버가 너무 오래 걸립니다."),
        ErrorReason::DatabaseUnavailable => ("The server cannot reach its data.", "서버가 데이터를 쓸 수 없습니다."),
        ErrorReason::OutcomeUnknown => ("It is not known whether it was done.", "처리되었는지 알 수 없습니다."),
        ErrorReason::Draining => ("The server is restarting.", "서버가 다시 시작하는 중입니다."),
        ErrorReason::Internal => ("The server has a fault.", "서버에 문제가 생겼습니다."),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use madang_proto::REASONS;

    use super::*;

    fn is_korean(text: &str) -> bool {
        text.chars().any(|c| ('가'..='힣').contains(&c))
    }

    #[test]
    fn every_reason_and_every_kind_is_a_sentence_in_both_languages() {
        let words = |sentence: &dyn Fn(Language) -> &'static str, what: String| {
            let (english, korean) = (sentence(Language::English), sentence(Language::Korean));
            assert!(english.is_ascii() && english.ends_with('.') && english.len() > 5, "{what}: {english}");
            assert!(is_korean(korean) && korean.ends_with('.'), "{what}: {korean}");
        };
        for reason in REASONS {
            words(&|language| reason_sentence(*reason, language), format!("{reason:?}"));
        }
        for reason in LocalReason::ALL {
            words(&|language| reason.sentence(language), format!("{reason:?}"));
        }
        for kind in ClientErrorKind::ALL {
            words(&|language| kind.sentence(language), format!("{kind:?}"));
        }
    }

    #[test]
    fn what_is_told_apart_is_worded_apart() {
        let local = LocalReason::ALL.map(|reason| reason.sentence(Language::Korean));
        assert_eq!(BTreeSet::from(local).len(), local.len());
        assert_eq!(BTreeSet::from(LocalReason::ALL.map(|reason| format!("{reason:?}"))).len(), local.len());
    }

    #[test]
    fn what_this_side_knows_goes_before_the_server_s_reason_and_that_before_the_kind() {
        let error = ClientError::refused(ErrorReason::TokenInvalid, "");
        assert_eq!(error.sentence(Language::English), "The sign-in was not accepted. Sign in again.");
        let error = ClientError { local: Some(LocalReason::ClockWrong), ..error };
        assert_eq!(error.sentence(Language::English), "The clock is wrong. Check date and time.");
        let error = ClientError::new(ClientErrorKind::Offline, "");
        assert_eq!(error.sentence(Language::Korean), "서버에 연결할 수 없습니다.");
    }

    #[test]
    fn a_language_is_found_by_its_tag() {
        assert_eq!(["ko", "ko-KR", "KO_kr.UTF-8"].map(Language::of_tag), [Language::Korean; 3]);
        assert_eq!(["en", "de-DE", ""].map(Language::of_tag), [Language::English; 3]);
    }
}
