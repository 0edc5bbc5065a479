//! What no store takes: a commit over a bound, a member's document without its member, or one key written twice. Checked before anything else, so that all
//! stores refuse the same.

use std::collections::BTreeSet;

use bhyt_core::ids::MemberId;

use super::{BYTES_MAX, Bounded, COMMIT_KEYS_MAX, Commit, DOC_ID_BYTES_MAX, HEAD_BYTES_MAX, StoreFault};

impl Commit {
    /// The number of keys this commit writes at most, or why it is not taken.
    pub(super) fn checked_keys(&self) -> Result<usize, StoreFault> {
        let pages: usize = self.appends.iter().map(|append| 1 + append.pages.len()).sum();
        let keys = self.docs.len() + pages + usize::from(!self.announce.is_empty());
        within(Bounded::Keys, COMMIT_KEYS_MAX, self.announce.len())?;
        within(Bounded::Keys, COMMIT_KEYS_MAX, keys)?;
        self.check_docs()?;
        self.check_appends()?;
        Ok(keys)
    }

    fn check_docs(&self) -> Result<(), StoreFault> {
        for write in &self.docs {
            within(Bounded::DocId, DOC_ID_BYTES_MAX, write.key.id.len())?;
            if write.key.kind.is_of_member() && write.key.id.len() < size_of::<MemberId>() {
                return Err(StoreFault::NoMember);
            }
            let length = write.bytes.as_ref().map_or(0, Vec::len);
            within(Bounded::Doc, BYTES_MAX, length)?;
        }
        let different: BTreeSet<_> = self.docs.iter().map(|write| &write.key).collect();
        once(different.len(), self.docs.len())
    }

    fn check_appends(&self) -> Result<(), StoreFault> {
        for append in &self.appends {
            within(Bounded::Head, HEAD_BYTES_MAX, append.head.bytes.len())?;
            for page in &append.pages {
                within(Bounded::Page, BYTES_MAX, page.bytes.len())?;
            }
            let different: BTreeSet<_> = append.pages.iter().map(|page| page.number).collect();
            once(different.len(), append.pages.len())?;
        }
        let different: BTreeSet<_> = self.appends.iter().map(|append| append.member).collect();
        once(different.len(), self.appends.len())
    }
}

fn within(what: Bounded, limit: usize, got: usize) -> Result<(), StoreFault> {
    if got > limit {
        return Err(StoreFault::TooLarge { what, limit, got });
    }
    Ok(())
}

fn once(different: usize, all: usize) -> Result<(), StoreFault> {
    if different != all {
        return Err(StoreFault::WrittenTwice);
    }
    Ok(())
}
