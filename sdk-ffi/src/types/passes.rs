//! Types of Rust that `uniffi` does not know, each passed as one that it knows.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use madang_sdk_core::{self as core, v1};

use super::{contract, signed};

/// Lets a type pass the boundary as another; languages see the other alone.
macro_rules! passes_as {
    ($this:ty => $other:ty, $lower:expr, $lift:expr) => {
        // SAFETY: everything is left to the implementation of the other type.
        unsafe impl uniffi::FfiConverter<crate::UniFfiTag> for $this {
            type FfiType = <$other as uniffi::Lower<crate::UniFfiTag>>::FfiType;

            fn lower(value: Self) -> Self::FfiType {
                <$other as uniffi::Lower<crate::UniFfiTag>>::lower($lower(value))
            }

            fn try_lift(value: Self::FfiType) -> uniffi::Result<Self> {
                $lift(<$other as uniffi::Lift<crate::UniFfiTag>>::try_lift(value)?)
            }

            fn write(value: Self, buffer: &mut Vec<u8>) {
                <$other as uniffi::Lower<crate::UniFfiTag>>::write($lower(value), buffer);
            }

            fn try_read(buffer: &mut &[u8]) -> uniffi::Result<Self> {
                $lift(<$other as uniffi::Lift<crate::UniFfiTag>>::try_read(buffer)?)
            }

            const TYPE_ID_META: uniffi::MetadataBuffer =
                <$other as uniffi::TypeId<crate::UniFfiTag>>::TYPE_ID_META;
        }
        uniffi::derive_ffi_traits!(local $this);
    };
}

/// Name and secret for a proxy.
#[derive(uniffi::Record)]
pub struct Credentials {
    /// The name.
    name: String,
    /// The secret.
    secret: String,
}

// Languages count places in such numbers. No list is so long that its places would not fit; before the first is the first.
passes_as!(usize => i32, |size| i32::try_from(size).unwrap_or(i32::MAX), |size: i32| Ok(usize::try_from(size).unwrap_or(0)));
passes_as!(PathBuf => String, |path: PathBuf| path.to_string_lossy().into_owned(), |path: String| Ok(path.into()));
passes_as!(
    BTreeMap<String, String> => HashMap<String, String>,
    |map: BTreeMap<_, _>| map.into_iter().collect(),
    |map: HashMap<_, _>| Ok(map.into_iter().collect())
);
passes_as!(
    BTreeMap<String, bool> => HashMap<String, bool>,
    |map: BTreeMap<_, _>| map.into_iter().collect(),
    |map: HashMap<_, _>| Ok(map.into_iter().collect())
);
passes_as!(
    (String, String) => Credentials,
    |(name, secret)| Credentials { name, secret },
    |given: Credentials| Ok((given.name, given.secret))
);
passes_as!(
    prost_types::Timestamp => SystemTime,
    |time: prost_types::Timestamp| SystemTime::try_from(time).unwrap_or(UNIX_EPOCH),
    |time: SystemTime| Ok(time.into())
);
passes_as!(
    prost_types::Duration => Duration,
    |time: prost_types::Duration| Duration::try_from(time).unwrap_or_default(),
    |time: Duration| Ok(time.try_into()?)
);
passes_as!(core::Day => signed::Day, signed::Day::from, |day: signed::Day| Ok(day.try_into()?));
passes_as!(v1::User => contract::User, contract::User::from, |user: contract::User| Ok(user.into()));
passes_as!(v1::Member => contract::Member, contract::Member::from, |member: contract::Member| Ok(member.into()));
passes_as!(
    v1::RoomSettings => contract::RoomSettings,
    contract::RoomSettings::from,
    |settings: contract::RoomSettings| Ok(settings.into())
);
