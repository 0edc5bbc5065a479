//! The receipt: what the server signs of an operation that it has merged, so that a member can prove that a petition was
//! handed in, and when. Bytes: `docs/formats.md`, "Receipt".
//!
//! Who has handed the operation in knows all of the receipt but its time: on the wire it is the time, the key and the
//! signature, and [`ReceiptSeal::join`] puts the signed object together again, byte for byte.

use serde::{Deserialize, Serialize};

use crate::cbor::{self, DecodeError};
use crate::cose::{Object, Payload, Signed, Unsigned, Verified};
use crate::ids::{MemberId, OperationId};
use crate::keys::{KeyId, Signature};
use crate::limits::RECEIPT_BYTES_MAX;
use crate::operation::Generation;
use crate::operation::OperationHash;
use crate::time::UnixSeconds;
use crate::trust::{KeyUse, TrustBundle};

/// What the server signs of an operation, as `bhyt/receipt/v1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Whose document.
    pub member: MemberId,
    /// Which operation.
    pub operation: OperationId,
    /// Of the change that it was.
    pub change: OperationHash,
    /// The generation of the document that took it in.
    pub generation: Generation,
    /// When the server merged it.
    pub time: UnixSeconds,
}

impl Receipt {
    /// Reads a receipt and verifies it by a receipt key of the bundle whose window covers its time.
    ///
    /// # Errors
    /// [`BadReceipt`]: not a receipt, or nobody's who may sign one.
    pub fn verify(bytes: &[u8], trust: &TrustBundle) -> Result<Verified<Self>, BadReceipt> {
        let signed = Signed::<Self>::decode(bytes).map_err(|_| BadReceipt)?;
        let key = trust.key(signed.key_id(), KeyUse::Receipt).ok_or(BadReceipt)?;
        let verified = signed.verify(&key.key).map_err(|_| BadReceipt)?;
        // As with heads, the floor is the time of the bundle: the reader's clock is nobody's.
        let permitted = key.may_sign_at(verified.claims().time) && key.verifies_at(trust.issued);
        permitted.then_some(verified).ok_or(BadReceipt)
    }
}

impl Payload for Receipt {
    const OBJECT: Object = Object::Receipt;
    const BYTES_MAX: usize = RECEIPT_BYTES_MAX;

    /// [member, operation, hash, generation, time].
    fn encode(&self) -> Vec<u8> {
        cbor::encode(|e| {
            e.array(5)?.bytes(&self.member.0)?.bytes(&self.operation.0)?.bytes(&self.change.0)?;
            e.u32(self.generation.0)?.u64(self.time.0)?;
            Ok(())
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut d = cbor::decoder(bytes)?;
        cbor::read_array(&mut d, 5, "receipt")?;
        Ok(Self {
            member: MemberId(cbor::read_bytes(&mut d, "receipt")?),
            operation: OperationId(cbor::read_bytes(&mut d, "receipt")?),
            change: OperationHash(cbor::read_bytes(&mut d, "receipt")?),
            generation: Generation(d.u32()?),
            time: UnixSeconds(d.u64()?),
        })
    }
}

/// What of a receipt its reader does not know: when, by which key, and the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptSeal {
    /// When the server merged the operation.
    pub time: UnixSeconds,
    /// The generation that took it in: of a duplicate, one that may be over.
    pub generation: Generation,
    /// The key that signed.
    pub key: KeyId,
    /// First half of the signature (serde has no arrays of 64).
    pub signature_r: [u8; 32],
    /// Second half.
    pub signature_s: [u8; 32],
}

impl ReceiptSeal {
    /// Of this receipt, signed by this key.
    pub fn new(receipt: &Receipt, key: KeyId, signature: &Signature) -> Self {
        let (mut signature_r, mut signature_s) = ([0; 32], [0; 32]);
        let (r, s) = signature.0.split_at(32);
        signature_r.copy_from_slice(r);
        signature_s.copy_from_slice(s);
        Self { time: receipt.time, generation: receipt.generation, key, signature_r, signature_s }
    }

    /// The signed bytes of the receipt for this operation. Not verified: see [`Receipt::verify`].
    pub fn join(&self, member: MemberId, operation: OperationId, change: OperationHash) -> Vec<u8> {
        let mut signature = [0; 64];
        let (r, s) = signature.split_at_mut(32);
        r.copy_from_slice(&self.signature_r);
        s.copy_from_slice(&self.signature_s);
        let receipt = Receipt { member, operation, change, generation: self.generation, time: self.time };
        Unsigned::new(receipt, self.key).seal(&Signature(signature)).bytes().to_vec()
    }
}

/// Not a receipt that a receipt key of the bundle signed in its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("receipt does not verify")]
pub struct BadReceipt;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::hex;
    use crate::keys::SecretKey;

    fn receipt() -> Receipt {
        Receipt {
            member: MemberId([0xab; 16]),
            operation: OperationId([0xcd; 16]),
            change: OperationHash([0xef; 32]),
            generation: Generation(3),
            time: UnixSeconds(1_700_000_000),
        }
    }

    #[test]
    fn a_receipt_is_these_bytes_and_reads_back() {
        let bytes = receipt().encode();
        let (member, operation, change) = ("ab".repeat(16), "cd".repeat(16), "ef".repeat(32));
        assert_eq!(hex(&bytes), format!("8550{member}50{operation}5820{change}031a6553f100"));
        assert_eq!(Receipt::decode(&bytes), Ok(receipt()));
        for cut in 0..bytes.len() {
            assert!(Receipt::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_seal_joins_to_the_bytes_that_were_signed() {
        let key = SecretKey::from_seed(&[7; 32]);
        let id = key.public_key().key_id();
        let unsigned = Unsigned::new(receipt(), id);
        let signature = key.sign(&unsigned.to_be_signed());
        let signed = unsigned.seal(&signature);
        let seal = ReceiptSeal::new(&receipt(), id, &signature);
        assert_eq!(seal.join(receipt().member, receipt().operation, receipt().change), signed.bytes());
        let largest = Receipt { generation: Generation(u32::MAX), time: UnixSeconds(u64::MAX), ..receipt() };
        let largest = Unsigned::new(largest, id).sign(&key);
        assert!(largest.bytes().len() <= RECEIPT_BYTES_MAX, "{}", largest.bytes().len());
    }
}
