//! One-time codes: what an operator hands to a member or a clinic, and a phone or terminal comes with. Kept as a blind
//! index only; derived from the operation that asked, so that an answer that was lost can be given again.

use bhyt_core::sync::admin::AdminReply;
use bhyt_core::sync::audit::{AuditAction, AuditOutcome, AuditSubject};
use bhyt_core::sync::operators::OperatorRole;
use bhyt_core::time::UnixSeconds;

use super::audit::line;
use super::cards::lost_races;
use super::docs::{Found, write};
use super::fault::{ServiceFault, Stop};
use super::operations::Operation;
use super::operators;
use super::values::OperationAnswerV1;
use super::values_operators::{CodePurposeV1, OneTimeCodeV2};
use super::vault::Vault;
use super::{ATTEMPTS_MAX, Draft, Service};
use crate::store::{Commit, DocKey, DocWrite, Expected, Outcome, Store};

/// A code as typed, in its one form. What is not of its form is no code.
pub(crate) struct Code(String);

impl Code {
    /// Reads what somebody typed: any case, with or without spaces and hyphens.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let code: String = text
            .chars()
            .filter(|c| !c.is_whitespace() && *c != '-')
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let sound = code.len() == CODE_CHARS && code.bytes().all(|c| ALPHABET.contains(&c));
        sound.then_some(Self(code))
    }

    /// The code of an operation.
    fn derive(vault: &Vault, operation: &Operation) -> Self {
        let bytes = vault.derive_code_bytes(&operation.origin());
        let letter = |byte: &u8| ALPHABET.get(usize::from(byte % 32)).copied().unwrap_or(b'A');
        let letters = bytes.iter().take(CODE_CHARS).map(letter).map(char::from);
        Self(letters.collect())
    }

    /// In groups of four.
    fn display(&self) -> String {
        let letters: Vec<char> = self.0.chars().collect();
        let groups: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
        groups.join("-")
    }

    /// Where its document stands.
    pub(crate) fn key(&self, vault: &Vault) -> DocKey {
        vault.code_key(&self.0)
    }
}

impl<S: Store> Service<S> {
    /// Makes a code, or gives the one again that this operation made.
    pub(crate) async fn make_code(
        &self,
        operation: &Operation,
        purpose: CodePurposeV1,
    ) -> Result<AdminReply, Stop> {
        let code = Code::derive(&self.vault, operation);
        let reply = |expires| AdminReply::OneTimeCode { code: code.display(), expires };
        let (action, subject) = match &purpose {
            CodePurposeV1::Device(member) => {
                (AuditAction::MakeDeviceCode, AuditSubject::Member((*member).into()))
            }
            CodePurposeV1::Terminal(_) => (AuditAction::MakeTerminalToken, AuditSubject::Nothing),
        };
        for _ in 0..ATTEMPTS_MAX {
            if let Some(answer) = self.done_before(operation).await? {
                let OperationAnswerV1::Code { expires } = answer else {
                    return Err(ServiceFault::Inconsistent { what: "operation" }.into());
                };
                self.note(&line(operation, action, subject, AuditOutcome::Unchanged, 0)).await?;
                return Ok(reply(expires));
            }
            let expires = operation.now.plus(self.settings.code_lifetime.as_secs());
            let value = OneTimeCodeV2 {
                made_by: Some(operation.operator),
                purpose: purpose.clone(),
                expires,
                used_by: None,
                misused: 0,
            };
            let commit = Commit {
                docs: vec![
                    write("one-time code", code.key(&self.vault), Expected::Absent, &value)?,
                    operation.remember(OperationAnswerV1::Code { expires })?,
                    self.audit(operation, action, subject, 0)?,
                ],
                ..Commit::default()
            };
            let draft = Draft { commit, ..Draft::default() };
            if self.commit(draft).await? == Outcome::Applied {
                return Ok(reply(expires));
            }
        }
        Err(lost_races().into())
    }

    /// Looks a code up; `None` for what is no code, and for one that is over, was misused too often, or whose maker may
    /// make none any more. A code that was used is found, for the one who used it.
    pub(crate) async fn find_code(
        &self,
        text: &str,
        now: UnixSeconds,
    ) -> Result<Option<(DocKey, Found<OneTimeCodeV2>)>, ServiceFault> {
        let Some(code) = Code::parse(text) else {
            return Ok(None);
        };
        let key = code.key(&self.vault);
        let found: Option<Found<OneTimeCodeV2>> = self.doc("one-time code", &key).await?;
        let Some(found) = found else {
            return Ok(None);
        };
        let good = found.value.used_by.is_some() || self.is_good(&found.value, now).await?;
        Ok((good && found.value.misused < MISUSES_MAX).then_some((key, found)))
    }

    async fn is_good(&self, code: &OneTimeCodeV2, now: UnixSeconds) -> Result<bool, ServiceFault> {
        let made_well = match code.made_by {
            // Made before codes told whose they are; none of these is older than its life.
            None => true,
            Some(maker) => {
                let maker = operators::find(&self.store, maker).await?;
                maker.is_some_and(|maker| maker.value.may(OperatorRole::Enroller))
            }
        };
        Ok(made_well && now < code.expires)
    }

    /// Counts that a code was tried for something else than it is good for. A lost race counts one less.
    pub(crate) async fn count_misuse(
        &self,
        key: DocKey,
        code: Found<OneTimeCodeV2>,
    ) -> Result<(), ServiceFault> {
        let value = OneTimeCodeV2 { misused: code.value.misused.saturating_add(1), ..code.value };
        let expected = Expected::Revision(code.revision);
        let commit =
            Commit { docs: vec![write("one-time code", key, expected, &value)?], ..Commit::default() };
        let _ = self.store.commit(commit).await?;
        Ok(())
    }
}

/// The write by which a key uses a code.
pub(crate) fn use_code(
    key: DocKey,
    code: &Found<OneTimeCodeV2>,
    by: bhyt_core::keys::PublicKey,
) -> Result<DocWrite, ServiceFault> {
    let value = OneTimeCodeV2 { used_by: Some(by), ..code.value.clone() };
    write("one-time code", key, Expected::Revision(code.revision), &value)
}

/// Letters and digits that nobody mistakes for each other.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Twelve of 32 letters are 60 bits.
const CODE_CHARS: usize = 12;
/// Times a code may be tried for something else: its holder mistyped a number, and again.
const MISUSES_MAX: u8 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_people_type_them() {
        let code = Code::parse(" abcd-efgh 2345").unwrap();
        assert_eq!(code.0, "ABCDEFGH2345");
        assert_eq!(code.display(), "ABCD-EFGH-2345");
        for bad in ["", "ABCD-EFGH-234", "ABCD-EFGH-23455", "ABCD-EFGH-2340", "ABCD-EFGH-234é"] {
            assert!(Code::parse(bad).is_none(), "{bad}");
        }
    }
}
