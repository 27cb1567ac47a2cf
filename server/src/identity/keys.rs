//! The issuer's keys: cached, refreshed, and fetched again for a key that is not known.
//!
//! Always true: an unknown key makes at most one fetch in 10 s, however many ask; keys stay while the issuer is away.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{
    Algorithm,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use tokio::sync::Mutex;

use super::{
    fetch::{Fetcher, KeySet},
    invalid,
    signature::PublicKey,
};
use crate::{
    clock::Clock,
    config::Config,
    error::{Error, Reason, Result},
};

/// Least time between two fetches for keys that are not known.
const FETCH_EVERY: TimeDelta = TimeDelta::seconds(10);

/// Least time between two tries while there are no keys at all.
const TRY_EVERY: TimeDelta = TimeDelta::seconds(1);

/// Age at which keys are fetched anew, so that one that the issuer has withdrawn is not believed for long.
const REFRESH_AFTER: TimeDelta = TimeDelta::minutes(5);

/// Keys that are kept of one issuer.
const MOST_KEYS: usize = 64;

/// Least bytes of an RSA modulus (NIST SP 800-131A: 2048 bits).
const LEAST_MODULUS: usize = 256;

/// A key that may check signatures.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// The key.
    pub(super) public: PublicKey,
    /// Counts up whenever a key has gone.
    pub(super) generation: u64,
    fits: Fits,
    parameters: AlgorithmParameters,
}

/// Which algorithms a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fits {
    One(Algorithm),
    AnyRsa,
}

#[derive(Debug, Default)]
struct Known {
    keys: HashMap<String, Key>,
    generation: u64,
    fetched_at: Option<DateTime<Utc>>,
}

#[derive(Debug)]
struct Shared {
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    known: RwLock<Known>,
    /// When the issuer may be asked again; held while it is, so that all who wait share one fetch.
    not_before: Mutex<DateTime<Utc>>,
    refreshing: AtomicBool,
}

/// What came of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fetched {
    Done,
    Failed,
    TooSoon,
}

/// The keys of one issuer.
#[derive(Debug, Clone)]
pub(super) struct Keys(Arc<Shared>);

impl Keys {
    pub(super) fn new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self> {
        let fetcher = Fetcher::new(config).map_err(Error::Internal)?;
        let (known, not_before) = (RwLock::default(), Mutex::new(DateTime::UNIX_EPOCH));
        let refreshing = AtomicBool::default();
        Ok(Self(Arc::new(Shared { fetcher, clock, known, not_before, refreshing })))
    }

    /// The key with this id, if it fits the algorithm.
    pub(super) async fn key(&self, id: &str, algorithm: Algorithm) -> Result<Key> {
        if !self.knows(id) {
            self.fetch_for(id).await;
        }
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        match known.keys.get(id) {
            Some(key) if key.fits(algorithm) => Ok(Key { generation: known.generation, ..key.clone() }),
            Some(_) => Err(invalid("alg")),
            None if known.fetched_at.is_none() => {
                Err(Error::refused(Reason::IssuerUnavailable, "the issuer's keys cannot be fetched"))
            }
            None => Err(invalid("kid")),
        }
    }

    /// Counts up whenever a key has gone.
    pub(super) fn generation(&self) -> u64 {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner).generation
    }

    /// Fetches the keys if they are not there yet.
    pub(super) async fn warm(&self) {
        self.fetch_for("").await;
    }

    /// Begins to fetch keys anew that have become old; whoever has a known key does not wait.
    pub(super) fn refresh_in_background(&self) {
        let fetched_at = self.0.known.read().unwrap_or_else(PoisonError::into_inner).fetched_at;
        let old = fetched_at.is_some_and(|at| self.0.clock.now() - at >= REFRESH_AFTER);
        if old && !self.0.refreshing.swap(true, Ordering::AcqRel) {
            let keys = self.clone();
            tokio::spawn(async move {
                let mut not_before = keys.0.not_before.lock().await;
                let fetched = keys.fetch(&not_before).await;
                if fetched == Fetched::Failed {
                    *not_before = keys.0.clock.now() + FETCH_EVERY;
                }
                drop(not_before);
                keys.0.refreshing.store(false, Ordering::Release);
            });
        }
    }

    fn knows(&self, id: &str) -> bool {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner).keys.contains_key(id)
    }

    fn has_any(&self) -> bool {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner).fetched_at.is_some()
    }

    async fn fetch_for(&self, id: &str) {
        let (keys, id) = (self.clone(), id.to_owned());
        // In a task of its own: a caller who leaves must not cut the fetch that others wait for.
        let fetch = tokio::spawn(async move {
            let mut not_before = keys.0.not_before.lock().await;
            // Somebody may have fetched it while this one waited.
            if keys.knows(&id) {
                return;
            }
            let had_any = keys.has_any();
            let pause = match keys.fetch(&not_before).await {
                Fetched::TooSoon => return,
                // The first keys count for nobody: the issuer may turn its key over right after.
                Fetched::Done if !had_any => TimeDelta::zero(),
                Fetched::Failed if !had_any => TRY_EVERY,
                Fetched::Done | Fetched::Failed => FETCH_EVERY,
            };
            *not_before = keys.0.clock.now() + pause;
        });
        if let Err(error) = fetch.await {
            tracing::error!(%error, "fetching the issuer's keys failed");
        }
    }

    async fn fetch(&self, not_before: &DateTime<Utc>) -> Fetched {
        let now = self.0.clock.now();
        if now < *not_before {
            return Fetched::TooSoon;
        }
        match self.0.fetcher.fetch().await {
            Ok(set) => {
                self.replace(set, now);
                Fetched::Done
            }
            Err(error) => {
                tracing::warn!(error, "the issuer's keys cannot be fetched");
                Fetched::Failed
            }
        }
    }

    fn replace(&self, set: KeySet, now: DateTime<Utc>) {
        let keys: HashMap<String, Key> = set.keys.into_iter().filter_map(read).take(MOST_KEYS).collect();
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        // A key that the issuer shows under the id of another is another key.
        if known.keys.iter().any(|(id, key)| keys.get(id).is_none_or(|new| !new.is_same(key))) {
            known.generation += 1;
        }
        tracing::info!(keys = keys.len(), "the issuer's keys were fetched");
        known.keys = keys;
        known.fetched_at = Some(now);
    }
}

impl Key {
    fn fits(&self, algorithm: Algorithm) -> bool {
        match self.fits {
            Fits::One(only) => only == algorithm,
            Fits::AnyRsa => is_rsa(algorithm),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.fits == other.fits && self.parameters == other.parameters
    }
}

fn is_rsa(algorithm: Algorithm) -> bool {
    use Algorithm::{PS256, RS256, RS384, RS512};
    matches!(algorithm, RS256 | RS384 | RS512 | PS256)
}

/// A key of the set, unless it is not for signatures, has no id, or is of a kind that we do not take.
fn read(key: serde_json::Value) -> Option<(String, Key)> {
    let key: Jwk = serde_json::from_value(key).ok()?;
    if key.common.public_key_use != Some(PublicKeyUse::Signature) {
        return None;
    }
    let fits = fits(&key)?;
    let id = key.common.key_id.clone().filter(|id| !id.is_empty())?;
    let public = PublicKey::of(&key.algorithm)?;
    Some((id, Key { public, generation: 0, fits, parameters: key.algorithm }))
}

fn fits(key: &Jwk) -> Option<Fits> {
    let by_type = match &key.algorithm {
        AlgorithmParameters::RSA(rsa) if modulus_bytes(&rsa.n) >= LEAST_MODULUS => Fits::AnyRsa,
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => Fits::One(Algorithm::ES256),
            EllipticCurve::P384 => Fits::One(Algorithm::ES384),
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => Fits::One(Algorithm::EdDSA),
        _ => return None,
    };
    let Some(stated) = key.common.key_algorithm else { return Some(by_type) };
    let stated: Algorithm = stated.to_string().parse().ok()?;
    let agrees = by_type == Fits::One(stated) || (by_type == Fits::AnyRsa && is_rsa(stated));
    agrees.then_some(Fits::One(stated))
}

fn modulus_bytes(base64: &str) -> usize {
    base64.trim_end_matches('=').len() * 3 / 4
}
