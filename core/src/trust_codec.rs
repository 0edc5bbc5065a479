//! CBOR of the trust bundle's payload. Bytes: `docs/formats.md`, "Trust bundle".

use minicbor::Decoder;

use crate::cbor::{self, DecodeError, EncodeResult, Key, read_array, read_map};
use crate::keys::PublicKey;
use crate::limits::{KEY_RANGES_MAX, ROOT_KEYS_MAX, TRUST_KEYS_MAX};
use crate::status::StatusVersion;
use crate::time::UnixSeconds;
use crate::trust::{IndexRange, KeyUse, Policy, RootSet, TrustBundle, TrustedKey};

type Encoder<'a> = minicbor::Encoder<&'a mut Vec<u8>>;

impl TrustBundle {
    pub(crate) fn encode(&self) -> Vec<u8> {
        cbor::encode(|e| {
            e.map(7 + u64::from(self.status.is_some()))?;
            e.u8(1)?.u64(self.version)?.u8(2)?.u64(self.issued.0)?.u8(3)?.u64(self.expires.0)?;
            e.u8(4)?.array(self.roots.keys().len() as u64)?;
            for root in self.roots.keys() {
                e.bytes(root.as_bytes())?;
            }
            e.u8(5)?.u64(self.roots.threshold() as u64)?.u8(6)?.array(self.keys.len() as u64)?;
            for key in &self.keys {
                encode_key(e, key)?;
            }
            e.u8(7)?;
            encode_policy(e, &self.policy)?;
            if let Some(status) = self.status {
                e.u8(8)?.array(2)?.u32(status.epoch)?.u64(status.number)?;
            }
            Ok(())
        })
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (mut version, mut issued, mut expires, mut threshold) = (None, None, None, None);
        let (mut roots, mut keys, mut policy, mut status) = (Vec::new(), Vec::new(), None, None);
        read_map(&mut cbor::decoder(bytes)?, |key, d| {
            match key {
                1 => version = Some(d.u64()?),
                2 => issued = Some(UnixSeconds(d.u64()?)),
                3 => expires = Some(UnixSeconds(d.u64()?)),
                4 => roots = read_list(d, ROOT_KEYS_MAX, read_root)?,
                5 => threshold = Some(d.u64()?),
                6 => keys = read_list(d, TRUST_KEYS_MAX, read_key)?.into_iter().flatten().collect(),
                7 => policy = Some(read_policy(d)?),
                8 => {
                    read_array(d, 2, "status version")?;
                    status = Some(StatusVersion { epoch: d.u32()?, number: d.u64()? });
                }
                _ => return Ok(Key::Unknown),
            }
            Ok(Key::Known)
        })?;
        const MISSING: DecodeError = DecodeError::Malformed("trust bundle");
        let threshold = threshold.and_then(|threshold| usize::try_from(threshold).ok()).ok_or(MISSING)?;
        let bundle = Self {
            version: version.ok_or(MISSING)?,
            issued: issued.ok_or(MISSING)?,
            expires: expires.ok_or(MISSING)?,
            roots: RootSet::new(roots, threshold).ok_or(DecodeError::Malformed("root keys"))?,
            keys,
            policy: policy.ok_or(MISSING)?,
            status,
        };
        bundle.has_one_use_a_key().then_some(bundle).ok_or(DecodeError::Malformed("a key stands twice"))
    }

    /// By key id, which is what signatures name: two keys of one id would shadow each other.
    fn has_one_use_a_key(&self) -> bool {
        let roots = self.roots.keys().iter().map(PublicKey::key_id);
        let keys = self.keys.iter().map(|key| key.key.key_id());
        let all: Vec<_> = roots.chain(keys).collect();
        all.iter().collect::<std::collections::BTreeSet<_>>().len() == all.len()
    }
}

fn encode_key(e: &mut Encoder<'_>, key: &TrustedKey) -> EncodeResult {
    let optional = [key.signs_until.is_some(), key.verify_until.is_some(), !key.ranges.is_empty()];
    e.map(3 + optional.map(u64::from).iter().sum::<u64>())?;
    e.u8(1)?.bytes(key.key.as_bytes())?.u8(2)?.u64(key.usage.code())?.u8(3)?.u64(key.signs_from.0)?;
    if let Some(until) = key.signs_until {
        e.u8(4)?.u64(until.0)?;
    }
    if let Some(until) = key.verify_until {
        e.u8(5)?.u64(until.0)?;
    }
    if !key.ranges.is_empty() {
        e.u8(6)?.array(key.ranges.len() as u64)?;
        for range in &key.ranges {
            e.array(2)?.u32(range.first)?.u32(range.count)?;
        }
    }
    Ok(())
}

/// `None` for a key that is not of our kind and whose use we do not know: a newer bundle's, nothing to us.
fn read_key(d: &mut Decoder<'_>) -> Result<Option<TrustedKey>, DecodeError> {
    let (mut public, mut usage, mut signs_from, mut signs_until, mut verify_until) =
        (None, None, None, None, None);
    let mut ranges = Vec::new();
    read_map(d, |key, d| {
        match key {
            1 => public = Some(d.bytes()?),
            2 => usage = Some(KeyUse::from_code(d.u64()?)),
            3 => signs_from = Some(UnixSeconds(d.u64()?)),
            4 => signs_until = Some(UnixSeconds(d.u64()?)),
            5 => verify_until = Some(UnixSeconds(d.u64()?)),
            6 => ranges = read_list(d, KEY_RANGES_MAX, read_range)?,
            _ => return Ok(Key::Unknown),
        }
        Ok(Key::Known)
    })?;
    const MISSING: DecodeError = DecodeError::Malformed("trusted key");
    let (usage, signs_from) = (usage.ok_or(MISSING)?, signs_from.ok_or(MISSING)?);
    match (public_key(public.ok_or(MISSING)?), usage) {
        (Ok(key), _) => Ok(Some(TrustedKey { key, usage, signs_from, signs_until, verify_until, ranges })),
        (Err(_), KeyUse::Other(_)) => Ok(None),
        (Err(error), _) => Err(error),
    }
}

fn read_range(d: &mut Decoder<'_>) -> Result<IndexRange, DecodeError> {
    read_array(d, 2, "index range")?;
    let range = IndexRange { first: d.u32()?, count: d.u32()? };
    (range.count > 0).then_some(range).ok_or(DecodeError::Malformed("empty index range"))
}

fn encode_policy(e: &mut Encoder<'_>, policy: &Policy) -> EncodeResult {
    e.map(5)?.u8(1)?.u64(policy.fresh_seconds)?.u8(2)?.u64(policy.stale_seconds)?;
    e.u8(3)?.u64(policy.proof_age_seconds)?.u8(4)?.u64(policy.proof_ahead_seconds)?;
    e.u8(5)?.u64(policy.trust_grace_seconds)?;
    Ok(())
}

fn read_policy(d: &mut Decoder<'_>) -> Result<Policy, DecodeError> {
    let mut policy = Policy::default();
    read_map(d, |key, d| {
        let field = match key {
            1 => &mut policy.fresh_seconds,
            2 => &mut policy.stale_seconds,
            3 => &mut policy.proof_age_seconds,
            4 => &mut policy.proof_ahead_seconds,
            5 => &mut policy.trust_grace_seconds,
            _ => return Ok(Key::Unknown),
        };
        *field = d.u64()?;
        Ok(Key::Known)
    })?;
    Ok(policy)
}

fn read_root(d: &mut Decoder<'_>) -> Result<PublicKey, DecodeError> {
    public_key(d.bytes()?)
}

fn public_key(bytes: &[u8]) -> Result<PublicKey, DecodeError> {
    let key = bytes.try_into().ok().and_then(PublicKey::from_bytes);
    key.ok_or(DecodeError::Malformed("public key"))
}

fn read_list<T>(
    d: &mut Decoder<'_>,
    length_max: usize,
    read: fn(&mut Decoder<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let length = d.array()?.and_then(|length| usize::try_from(length).ok());
    let length =
        length.filter(|length| *length <= length_max).ok_or(DecodeError::Malformed("list too long"))?;
    (0..length).map(|_| read(d)).collect()
}
