//! Frames about operators: their roles, their entries in the server's table, and how one is named. A role is what a key
//! may ask for; a key may have several, and one without any may ask for nothing.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::MalformedId;
use crate::keys::{KeyId, PublicKey};
use crate::limits::OPERATOR_LABEL_BYTES_MAX;
use crate::time::UnixSeconds;

/// What an operator may do. Variants are only ever appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum OperatorRole {
    /// Members and cards.
    Registrar,
    /// Devices and terminals.
    Enroller,
    /// Reads, the audit trail too, and changes nothing.
    Auditor,
    /// Operators and backups, and nothing of members, cards, devices or terminals.
    Administrator,
}

impl OperatorRole {
    /// Every role: what the first operator of a server has.
    pub const ALL: [Self; 4] = [Self::Registrar, Self::Enroller, Self::Auditor, Self::Administrator];

    /// The word, on command lines and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Registrar => "registrar",
            Self::Enroller => "enroller",
            Self::Auditor => "auditor",
            Self::Administrator => "administrator",
        }
    }

    /// The role of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == word)
    }
}

/// What an operator is called in lists: a desk or a task, never a person. 1 to [`OPERATOR_LABEL_BYTES_MAX`] of `a`–`z`,
/// `0`–`9`, `.`, `_` and `-`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OperatorLabel(String);

impl OperatorLabel {
    /// Reads a label; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        let sound = (1..=OPERATOR_LABEL_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain);
        sound.then(|| Self(text.to_owned()))
    }

    /// The label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for OperatorLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OperatorLabel({})", self.0)
    }
}

impl TryFrom<String> for OperatorLabel {
    type Error = MalformedId;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or(MalformedId("OperatorLabel"))
    }
}

impl From<OperatorLabel> for String {
    fn from(label: OperatorLabel) -> Self {
        label.0
    }
}

/// A change of who commands the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperatorChange {
    /// Enter an operator.
    Add(Box<NewOperator>),
    /// Give an operator exactly these roles: at least one, each once.
    SetRoles {
        /// The id of its key.
        operator: KeyId,
        /// What it may do from now on.
        roles: Vec<OperatorRole>,
    },
    /// Retire an operator for good, by the id of its key.
    Retire(KeyId),
}

impl OperatorChange {
    /// Whom it is about.
    pub fn operator(&self) -> KeyId {
        match self {
            Self::Add(new) => new.key.key_id(),
            Self::SetRoles { operator, .. } | Self::Retire(operator) => *operator,
        }
    }
}

/// An operator to enter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewOperator {
    /// The public half of a key that was made on the operator's own machine.
    pub key: PublicKey,
    /// At least one; each once.
    pub roles: Vec<OperatorRole>,
    /// What the operator is called.
    pub label: OperatorLabel,
}

/// An operator as an administrator or auditor sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorView {
    /// The id of the key.
    pub id: KeyId,
    /// What the operator is called; `None` for one that was entered without.
    pub label: Option<OperatorLabel>,
    /// What it may do.
    pub roles: Vec<OperatorRole>,
    /// When it was entered.
    pub added: UnixSeconds,
    /// Whether it was retired, and when.
    pub retired: Option<UnixSeconds>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_plain_words() {
        for good in ["a", "quay-7", "hn.01_b", &"a".repeat(OPERATOR_LABEL_BYTES_MAX)] {
            assert_eq!(OperatorLabel::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "Quay", "quầy", "a b", "a\n", &"a".repeat(OPERATOR_LABEL_BYTES_MAX + 1)] {
            assert_eq!(OperatorLabel::parse(bad), None, "{bad}");
        }
        let bytes = crate::codec::bare::encode(&String::from("a b"));
        assert!(crate::codec::bare::decode::<OperatorLabel>(&bytes).is_err());
    }

    #[test]
    fn roles_are_read_by_their_words() {
        for role in OperatorRole::ALL {
            assert_eq!(OperatorRole::parse(role.name()), Some(role));
        }
        assert_eq!(OperatorRole::parse("Administrator"), None);
    }
}
