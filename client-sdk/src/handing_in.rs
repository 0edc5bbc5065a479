//! What waits in the outbox goes to the server: at each sync beside the rest, and at once while connected.
//!
//! Promises: in order, one request after the other, until nothing waits. A server that will not hear of it keeps a phone from
//! nothing else.

use bhyt_core::sync::messages::{Reply, Request};
use bhyt_platform::quic::ClientConnection;

use crate::engine::{Engine, Side};
use crate::error::SdkError;
use crate::events::EventListener;
use crate::host::blocking;
use crate::link::Conversation;

impl<S: Side> Engine<S> {
    /// There is something to hand in: while connected it goes at once.
    pub(crate) fn nudge_outgoing(&self) {
        self.outgoing.notify_one();
    }

    /// Hands in what waits. A server that refuses to hear of it keeps nothing else from being up to date.
    pub(crate) async fn hand_in(
        &self,
        connection: &ClientConnection,
        listener: &dyn EventListener,
    ) -> Result<(), SdkError> {
        for asked in self.side.outgoing(&self.keys)? {
            let mut next = Some(asked);
            for _ in 0..HAND_IN_ROUNDS_MAX {
                let Some(asked) = next.take() else { break };
                let request = Request::SyncPersonal(asked.clone());
                let mut conversation = Conversation::begin(connection, &request).await?;
                loop {
                    match conversation.next().await? {
                        Reply::Done => break,
                        Reply::Refused(refusal) => {
                            tracing::warn!(%refusal, "operations not taken now");
                            break;
                        }
                        // The exchange beside this one tells it too, and does what follows.
                        Reply::Retired(_) => {}
                        reply => {
                            let taken =
                                blocking(|| self.side.take_answer(&asked, reply, &self.scene(listener)));
                            next = taken?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// Requests until an outbox is empty: a full one, after a document that begins anew once and once more.
const HAND_IN_ROUNDS_MAX: u32 = 16;
