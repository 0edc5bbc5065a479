//! A member's feed on its way to a phone: the newest signed head, and the records up to it in compressed blocks; to phones
//! that know no blocks, pages as they are with the head behind the last. What is appended meanwhile is news.

use bhyt_core::feed::{BlockWindow, FeedPage};
use bhyt_core::ids::MemberId;
use bhyt_core::record::Seq;
use bhyt_core::seal::SealKey;
use bhyt_core::sync::messages::{FeedReply, Reply};

use super::Service;
use super::answer::ReplySink;
use super::fault::{ServiceFault, Stop};
use super::feed::ServedHead;
use crate::store::Store;

/// How a phone reads feeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FeedForm {
    /// Pages as they are; the first phones.
    Pages,
    /// Compressed blocks behind their head.
    Blocks,
}

/// One answer to a phone, or one round of news.
#[derive(Debug)]
pub(crate) struct FeedAnswer<'s, K> {
    sink: &'s mut K,
    form: FeedForm,
    window: BlockWindow,
    sent: u32,
}

impl<'s, K: ReplySink> FeedAnswer<'s, K> {
    pub(crate) fn new(form: FeedForm, sink: &'s mut K) -> Self {
        Self { sink, form, window: BlockWindow::default(), sent: 0 }
    }

    /// Replies sent.
    pub(crate) fn sent(&self) -> u32 {
        self.sent
    }

    async fn send_head(&mut self, member: MemberId, head: &ServedHead) -> Result<(), Stop> {
        match self.form {
            FeedForm::Pages => Ok(()),
            FeedForm::Blocks => self.send(Reply::FeedHead { member, head: head.signed().to_vec() }).await,
        }
    }

    /// Sends the next pages up to `head`.
    async fn send_pages(
        &mut self,
        member: MemberId,
        pages: Vec<FeedPage>,
        head: &ServedHead,
    ) -> Result<(), Stop> {
        if self.form == FeedForm::Pages {
            let all = pages.last().is_none_or(|page| page.next_seq().0 == head.extent.size);
            let head = all.then(|| head.signed().to_vec());
            return self.send(Reply::Feed(FeedReply { member, pages, head })).await;
        }
        let mut rest = &pages[..];
        while !rest.is_empty() {
            let (block, count) = self.window.make_block(rest);
            rest = rest.get(count..).unwrap_or_default();
            self.send(Reply::FeedBlock { member, block }).await?;
        }
        Ok(())
    }
}

impl<K: ReplySink> ReplySink for FeedAnswer<'_, K> {
    async fn send(&mut self, reply: Reply) -> Result<(), Stop> {
        self.sent += 1;
        self.sink.send(reply).await
    }
}

impl<S: Store> Service<S> {
    /// Sends the newest head and the records from `from` up to it; returns the head.
    pub(crate) async fn send_feed<K: ReplySink>(
        &self,
        member: MemberId,
        key: &SealKey,
        from: Seq,
        answer: &mut FeedAnswer<'_, K>,
    ) -> Result<ServedHead, Stop> {
        let head = self.head_to_send(member).await?;
        answer.send_head(member, &head).await?;
        let end = head.next_seq();
        let mut next = from;
        while next < end {
            let pages = self.feed_pages(member, key, next, PAGES_AT_ONCE).await?;
            // Whatever was appended since the head was read is not under it.
            let pages: Vec<FeedPage> = pages.iter().filter_map(|page| page.until(end)).collect();
            let missing = ServiceFault::Inconsistent { what: "feed page" };
            next = pages.last().ok_or(missing)?.next_seq();
            answer.send_pages(member, pages, &head).await?;
        }
        if from >= end && answer.form == FeedForm::Pages {
            answer.send_pages(member, Vec::new(), &head).await?;
        }
        Ok(head)
    }

    /// The newest head, signed by a key that phones know.
    async fn head_to_send(&self, member: MemberId) -> Result<ServedHead, Stop> {
        for _ in 0..RACES_MAX {
            let missing = ServiceFault::Inconsistent { what: "feed head" };
            let head = self.served_head(member).await?.ok_or(missing)?;
            if let Some(head) = self.trusted_head(head).await? {
                return Ok(head);
            }
        }
        Err(ServiceFault::Inconsistent { what: "feed" }.into())
    }
}

/// Pages read at once: each is at most 16 kB.
const PAGES_AT_ONCE: usize = 8;
/// Times that a feed may grow while its head is signed again.
const RACES_MAX: u32 = 3;
