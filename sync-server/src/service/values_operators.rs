//! What the server stores of operators, byte for byte: who they are, the codes that they made, and the audit trail. One
//! frozen struct a schema number; what an earlier version wrote is read as what it means now.

use bhyt_core::codec::{self, CodecError, Schema};
use bhyt_core::ids::{FacilityCode, MemberId, OperationId};
use bhyt_core::keys::{KeyId, PublicKey};
use bhyt_core::sync::audit::{AuditAction, AuditLine, AuditOutcome, AuditSubject, ShortMember};
use bhyt_core::sync::operators::{OperatorLabel, OperatorRole};
use bhyt_core::time::UnixSeconds;
use serde::{Deserialize, Serialize};

/// Somebody who commands the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorV2 {
    /// Proven in every handshake.
    pub transport_key: PublicKey,
    /// What this operator may do, each role once.
    pub roles: Vec<OperatorRole>,
    /// When the key was entered.
    pub added: UnixSeconds,
    /// When it was retired.
    pub retired: Option<UnixSeconds>,
    /// What the operator is called.
    pub label: Option<OperatorLabel>,
}

impl OperatorV2 {
    /// Whether this operator has the role now.
    pub fn may(&self, role: OperatorRole) -> bool {
        self.retired.is_none() && self.roles.contains(&role)
    }
}

impl From<OperatorV1> for OperatorV2 {
    fn from(old: OperatorV1) -> Self {
        let OperatorV1 { transport_key, roles, added, retired } = old;
        Self { transport_key, roles, added, retired, label: None }
    }
}

/// Somebody who commands the server, before operators had labels. Read, and never written any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorV1 {
    /// Proven in every handshake.
    pub transport_key: PublicKey,
    /// What this operator may do.
    pub roles: Vec<OperatorRole>,
    /// When the key was entered.
    pub added: UnixSeconds,
    /// When it was retired.
    pub retired: Option<UnixSeconds>,
}

/// A one-time code or token; its document is named by a blind index of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OneTimeCodeV2 {
    /// The operator who made it: it is good as long as this one may make codes.
    pub made_by: Option<KeyId>,
    /// What it is good for.
    pub purpose: CodePurposeV1,
    /// When it ends.
    pub expires: UnixSeconds,
    /// The transport key that used it.
    pub used_by: Option<PublicKey>,
    /// Times it was tried for something else than it is good for.
    pub misused: u8,
}

impl From<OneTimeCodeV1> for OneTimeCodeV2 {
    fn from(old: OneTimeCodeV1) -> Self {
        let OneTimeCodeV1 { purpose, expires, used_by, misused } = old;
        Self { made_by: None, purpose, expires, used_by, misused }
    }
}

/// A one-time code or token, before it told who made it. Read, and never written any more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OneTimeCodeV1 {
    /// What it is good for.
    pub purpose: CodePurposeV1,
    /// When it ends.
    pub expires: UnixSeconds,
    /// The transport key that used it.
    pub used_by: Option<PublicKey>,
    /// Times it was tried for something else than it is good for.
    pub misused: u8,
}

/// What a one-time code is good for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum CodePurposeV1 {
    /// Activating a phone for this member.
    Device(MemberId),
    /// Enrolling a terminal at this facility.
    Terminal(FacilityCode),
}

/// Lines of the audit trail that were written together and differ in their subjects alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditV3 {
    /// The first line.
    pub first: AuditLine,
    /// The subjects of the others.
    pub others: Vec<AuditSubject>,
}

impl AuditV3 {
    /// All the lines, in order.
    pub fn lines(&self) -> impl Iterator<Item = AuditLine> {
        let others = self.others.iter().map(|subject| AuditLine { subject: *subject, ..self.first });
        std::iter::once(self.first).chain(others)
    }
}

impl From<AuditV2> for AuditV3 {
    fn from(AuditV2(first): AuditV2) -> Self {
        Self { first, others: Vec::new() }
    }
}

/// A line of the audit trail, before some could stand together. Read, and never written any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditV2(pub AuditLine);

impl From<AuditV1> for AuditV2 {
    fn from(old: AuditV1) -> Self {
        let AuditV1 { operator, action, time, operation, member, rows } = old;
        let subject = member.map_or(AuditSubject::Nothing, |it| AuditSubject::Member(ShortMember(it)));
        let outcome = AuditOutcome::Done;
        Self(AuditLine { time, operator: Some(operator), action, subject, outcome, rows, operation })
    }
}

/// A line of the audit trail, before it told of what was refused. Read, and never written any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditV1 {
    /// The operator's key.
    pub operator: KeyId,
    /// What was done.
    pub action: AuditAction,
    /// When.
    pub time: UnixSeconds,
    /// The operation.
    pub operation: OperationId,
    /// The first four bytes of the member's id.
    pub member: Option<[u8; 4]>,
    /// Rows, for an import.
    pub rows: u32,
}

/// The schema of a value that took the place of another: what was written as that is read as this.
macro_rules! replacing {
    ($($new:ident $number:literal $old:ident $old_number:literal $bytes_max:expr;)*) => {
        $(impl Schema for $old {
            const SCHEMA: u16 = $old_number;
            const BYTES_MAX: usize = $bytes_max;
        }

        impl Schema for $new {
            const SCHEMA: u16 = $number;
            const BYTES_MAX: usize = $bytes_max;

            fn decode_older(found: u16, bytes: &[u8]) -> Result<Self, CodecError> {
                match found {
                    $old::SCHEMA => codec::decode::<$old>(bytes).map(Self::from),
                    _ => Err(CodecError::UnknownSchema { found, known: Self::SCHEMA }),
                }
            }
        })*
    };
}

replacing! {
    OperatorV2 121 OperatorV1 108 1_024;
    OneTimeCodeV2 122 OneTimeCodeV1 109 1_024;
    AuditV2 123 AuditV1 116 256;
}

impl Schema for AuditV3 {
    const SCHEMA: u16 = 125;
    const BYTES_MAX: usize = 4_096;

    fn decode_older(found: u16, bytes: &[u8]) -> Result<Self, CodecError> {
        match codec::decode::<AuditV2>(bytes) {
            Err(CodecError::UnknownSchema { .. }) => {
                Err(CodecError::UnknownSchema { found, known: Self::SCHEMA })
            }
            decoded => decoded.map(Self::from),
        }
    }
}

#[cfg(test)]
mod tests {
    //! Golden bytes: never edited, only added.

    use bhyt_core::ids::StatusIndex;
    use bhyt_core::keys::SecretKey;
    use bhyt_core::sync::admin::{RowFault, RowField, RowReason};
    use bhyt_core::sync::messages::Refusal;

    use super::*;
    use crate::service::golden::check;

    fn public(seed: u8) -> PublicKey {
        SecretKey::from_seed(&[seed; 32]).public_key()
    }

    fn audit(subject: AuditSubject, outcome: AuditOutcome) -> AuditV2 {
        AuditV2(AuditLine {
            time: UnixSeconds(2),
            operator: None,
            action: AuditAction::ForeignMessage,
            subject,
            outcome,
            rows: 5,
            operation: OperationId([3; 16]),
        })
    }

    #[test]
    fn operators_are_these_bytes() {
        check(
            &OperatorV2 {
                transport_key: public(1),
                roles: OperatorRole::ALL.to_vec(),
                added: UnixSeconds(2),
                retired: Some(UnixSeconds(3)),
                label: OperatorLabel::parse("a-1"),
            },
            "79008a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c0400000000000000000000000100\
             000002000000030000000200000000000000010300000000000000010300000000000000612d31",
        );
        check(
            &OperatorV1 {
                transport_key: public(1),
                roles: vec![OperatorRole::Registrar, OperatorRole::Enroller, OperatorRole::Auditor],
                added: UnixSeconds(2),
                retired: None,
            },
            "6c008a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c0300000000000000000000000100\
             000002000000020000000000000000",
        );
    }

    #[test]
    fn codes_are_these_bytes() {
        check(
            &OneTimeCodeV2 {
                made_by: Some(KeyId([9; 8])),
                purpose: CodePurposeV1::Device(MemberId([1; 16])),
                expires: UnixSeconds(2),
                used_by: None,
                misused: 3,
            },
            "7a00010909090909090909000000000101010101010101010101010101010102000000000000000003",
        );
        check(
            &OneTimeCodeV1 {
                purpose: CodePurposeV1::Device(MemberId([1; 16])),
                expires: UnixSeconds(2),
                used_by: Some(public(1)),
                misused: 3,
            },
            "6d0000000000010101010101010101010101010101010200000000000000018a88e3dd7409f195fd52db2d3cba5d72ca\
             6709bf1d94121bf3748801b40f6f5c03",
        );
        check(
            &OneTimeCodeV1 {
                purpose: CodePurposeV1::Terminal(FacilityCode::parse("79024").unwrap()),
                expires: UnixSeconds(2),
                used_by: None,
                misused: 0,
            },
            "6d00010000000500000000000000373930323402000000000000000000",
        );
    }

    #[test]
    fn audit_lines_are_these_bytes() {
        let member = ShortMember([4; 4]);
        let card = AuditSubject::Card { member, index: StatusIndex(7) };
        check(
            &audit(card, AuditOutcome::Refused(Refusal::NotFound)),
            "7b0002000000000000000017000000020000000404040407000000020000000300000005000000030303030303030303\
             03030303030303",
        );
        let device = AuditSubject::Device { device: KeyId([1; 8]), member: Some(member) };
        let fault = RowFault { field: RowField::Area, reason: RowReason::Conflict };
        check(
            &audit(device, AuditOutcome::Field(fault)),
            "7b00020000000000000000170000000300000001010101010101010104040404030000000d0000000400000005000000\
             03030303030303030303030303030303",
        );
        let operator = AuditSubject::Operator(KeyId([1; 8]));
        check(
            &audit(operator, AuditOutcome::Rows { unchanged: 1, failed: 2 }),
            "7b0002000000000000000017000000050000000101010101010101040000000100000002000000050000000303030303\
             0303030303030303030303",
        );
        let first = audit(card, AuditOutcome::Done).0;
        let others = vec![AuditSubject::Card { member, index: StatusIndex(8) }, AuditSubject::Nothing];
        check(
            &AuditV3 { first, others },
            "7d0002000000000000000017000000020000000404040407000000000000000500000003030303030303030303030303\
             0303030200000000000000020000000404040408000000\
             00000000",
        );
        check(
            &AuditV1 {
                operator: KeyId([1; 8]),
                action: AuditAction::RetireTerminal,
                time: UnixSeconds(2),
                operation: OperationId([3; 16]),
                member: Some([4; 4]),
                rows: 5,
            },
            "740001010101010101010d000000020000000000000003030303030303030303030303030303010404040405000000",
        );
    }

    #[test]
    fn what_an_earlier_version_wrote_is_read_as_what_it_means() {
        let old = AuditV1 {
            operator: KeyId([1; 8]),
            action: AuditAction::HoldCard,
            time: UnixSeconds(2),
            operation: OperationId([3; 16]),
            member: Some([4; 4]),
            rows: 0,
        };
        let line = codec::decode::<AuditV2>(&codec::encode(&old).unwrap()).unwrap();
        let expected = AuditLine {
            operator: Some(old.operator),
            action: old.action,
            rows: 0,
            ..audit(AuditSubject::Member(ShortMember([4; 4])), AuditOutcome::Done).0
        };
        assert_eq!(line.0, expected);
        for bytes in [codec::encode(&old).unwrap(), codec::encode(&AuditV2(line.0)).unwrap()] {
            let lines = codec::decode::<AuditV3>(&bytes).unwrap();
            assert_eq!(lines.lines().collect::<Vec<_>>(), [expected]);
        }
        let unknown = CodecError::UnknownSchema { found: 117, known: 125 };
        assert_eq!(codec::decode::<AuditV3>(&[117, 0]), Err(unknown));
    }
}
