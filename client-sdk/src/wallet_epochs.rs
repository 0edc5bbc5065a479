//! New epochs of a feed on a phone: the server was restored from a backup and says so, signed. A phone that holds no more
//! than was kept goes on; one that holds more hands it back first, record by record, and then reads the feed again.
//!
//! Promises: what is held is shown until the feed has been read again, and is forgotten by nobody meanwhile: a phone that
//! dies in between hands back once more, which changes nothing. Refuses: a feed that does not begin as the one held.

use std::collections::VecDeque;

use bhyt_core::cose::Verified;
use bhyt_core::feed::{EpochStatement, FeedState, hand_back};
use bhyt_core::ids::MemberId;
use bhyt_core::record::Seq;
use bhyt_core::sync::messages::{HandBack, Request};
use bhyt_core::sync::wallet::SyncFault;

use crate::error::SdkError;
use crate::wallet_cache::HeldPages;
use crate::wallet_store::{Change, WalletStore};

/// Records of one member on their way back.
#[derive(Debug)]
pub(crate) struct HandingBack {
    statement: Verified<EpochStatement>,
    left: VecDeque<HandBack>,
}

impl WalletStore {
    /// Goes on in a new epoch.
    pub(crate) fn enter_epoch(
        &self,
        member: MemberId,
        statement: &Verified<EpochStatement>,
        feed: FeedState,
    ) -> Result<Option<Change>, SdkError> {
        self.keep_statement(statement)?;
        self.change_member(member, |held| {
            held.cached.feed = feed;
            // What waited for a head of the epoch before.
            held.cached.staged.forget();
        });
        Ok(None)
    }

    /// Takes note of what a restored server has forgotten: [`Self::errand`] asks for it to be handed back.
    pub(crate) fn begin_hand_back(
        &self,
        member: MemberId,
        statement: Verified<EpochStatement>,
    ) -> Result<(), SdkError> {
        let Some((held, feed)) = self.pages_of(member)? else { return Ok(()) };
        let HeldPages { pages, signed_head } = held;
        let entered = feed.enter_epoch(&pages, &statement);
        entered.map_err(|fault| SdkError::from(SyncFault::Feed { member, fault }))?;
        let handed = hand_back(&pages, Seq(statement.claims().kept.size));
        let left =
            handed.into_iter().map(|record| HandBack { member, head: signed_head.clone(), record }).collect();
        self.handing_back().insert(member, HandingBack { statement, left });
        Ok(())
    }

    /// The next record to hand back.
    pub(crate) fn next_hand_back(&self) -> Option<Request> {
        let handing = self.handing_back();
        let next = handing.values().find_map(|handing| handing.left.front());
        next.cloned().map(Request::HandBack)
    }

    /// The record was taken. After the last one the feed is read again, in its new epoch.
    pub(crate) fn handed_back(&self) -> Result<(), SdkError> {
        let finished = {
            let mut handing = self.handing_back();
            let Some((member, current)) = handing.iter_mut().find(|(_, handing)| !handing.left.is_empty())
            else {
                return Ok(());
            };
            current.left.pop_front();
            let (member, last) = (*member, current.left.is_empty());
            if last { handing.remove(&member) } else { None }
        };
        let Some(HandingBack { statement, .. }) = finished else { return Ok(()) };
        self.keep_statement(&statement)?;
        let head = statement.claims().head();
        self.change_member(head.member, |held| held.cached = held.cached.clone().reread_from(head));
        Ok(())
    }
}
